"""Chaos: humans flow in while faults of a seeded schedule hit workers and broker.

`make chaos` runs it for ten minutes, `make chaos SECONDS=60 SEED=7` shorter. It writes a history,
prints a table, and ends with 1 on any anomaly. A seed gives the same faults in the same order.
`make chaos LATE=100` lets a hundred requests of the workers come late, and does little else.
`make soak` takes an hour, with a fault a minute, and sees that a worker that lives does not grow.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from harness.faults import late_schedule, schedule
from harness.kafka_frames import FENCED
from harness.kafka_server import KafkaServer, small_disk
from harness.world import PROTOCOLS, Scene, World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_CALM_SECONDS: Final = 1.0
_SOAK_SECONDS: Final = 60.0
_LATE_SECONDS: Final = 0.1


def run(
    world: World, schedule: Iterator[Callable[[World], None]], seconds: float, calm: float
) -> tuple[Counter[str], dict[str, list[Any]]]:
    """Let faults of a schedule happen for so long, with `calm` seconds after each.

    Gives how many of each there were, and the anomalies by name.
    """
    faults: Counter[str] = Counter()
    deadline = time.monotonic() + seconds
    for fault in schedule:
        if time.monotonic() >= deadline:
            break
        name = fault.__name__.replace("_", " ")
        click.echo(f"{deadline - time.monotonic():5.0f} s left: {name}", err=True)
        world.note("fault", name=name)
        fault(world)
        faults[name] += 1
        world.supervise()
        rested = time.monotonic() + calm
        while (left := rested - time.monotonic()) > 0:
            world.sample()
            time.sleep(min(left, 5.0))
    return faults, world.finish()


def table(world: World, faults: Counter[str], found: dict[str, list[Any]]) -> str:
    """Write what happened, for people."""
    lines = [f"{name:<24}{count:>8}" for name, count in sorted(faults.items())]
    lines += ["", f"{'records sent':<24}{len(world.traffic.sent):>8,}"]
    if world.gaps:
        gaps = f"{statistics.median(world.gaps):.1f} s, longest {max(world.gaps):.1f} s"
        lines += [f"after a kill, median {gaps}"]
    for name in world.samples[0] if world.samples else ():
        values = [sample[name] for sample in world.samples]
        middle = statistics.median(values)
        lines += [f"worker b, {name}: first {values[0]}, median {middle:g}, last {values[-1]}"]
    if world.late:
        lines += [late(world.late)]
    ends = ", ".join(f"{code} ({count})" for code, count in sorted(world.ends.items()))
    lines += [f"exit codes: {ends}", ""]
    lines += [f"{name:<24}{len(each):>8}  {each[:3] or ''}" for name, each in found.items()]
    return "\n".join(lines)


def late(answers: Counter[int]) -> str:
    """Say what became of late requests. One of a transaction that is still open is accepted."""
    fenced = sum(answers[code] for code in FENCED)
    accepted = answers[0]
    others = answers.total() - fenced - accepted
    codes = ", ".join(f"{c} ({n})" for c, n in sorted(answers.items()) if c not in (0, *FENCED))
    told = f"{answers.total()} delivered, {fenced} fenced, {accepted} accepted, {others} refused"
    return f"late requests: {told}" + (f": {codes}" if codes else "")


@click.command()
@click.option("--seconds", default=600.0, show_default=True)
@click.option("--seed", default=1, show_default=True)
@click.option("--protocol", type=click.Choice([*PROTOCOLS, "by seed"]), default="by seed")
@click.option("--soak", is_flag=True, help="A fault a minute, and worker b is let live.")
@click.option("--late", "count", default=0, help="So many late requests, and little else.")
@click.option("--directory", type=click.Path(path_type=Path), help="For logs and the history.")
def main(  # noqa: PLR0913, PLR0917 - an option each
    seconds: float, seed: int, protocol: str, soak: bool, count: int, directory: Path | None
) -> None:
    """Run chaos; end with 1 on any anomaly."""
    directory = directory or Path(tempfile.mkdtemp(prefix="chaos-"))
    directory.mkdir(parents=True, exist_ok=True)
    if protocol == "by seed":
        protocol = list(PROTOCOLS)[seed % len(PROTOCOLS)]
    scene = Scene(seed, protocol, spared=soak, late=count > 0)
    calm = _SOAK_SECONDS if soak else _LATE_SECONDS if count else _CALM_SECONDS
    with small_disk(directory / "disk") as mounted:
        kafka = KafkaServer(directory)
        kafka.start()
        try:
            world = World(kafka.bootstrap_servers, directory, scene, kafka)
            plan = late_schedule(seed, count) if count else schedule(seed, small_disk=mounted)
            faults, found = run(world, plan, seconds, calm)
            world.close()
        finally:
            kafka.kill()
    click.echo(f"seed {seed}, group protocol {protocol}, history in {directory}")
    click.echo(table(world, faults, found))
    sys.exit(any(found.values()))


if __name__ == "__main__":
    main()
