"""Ours and others, each with its strongest setting, under the same faults and the same oracle.

`make rivals` runs it, `make rivals SEEDS="1 2"` with more seeds. In each scenario three contenders
run side by side on one broker, each with topics of its own, and then the next three. Prints a
table, and ends with 1 if ours has an anomaly, whatever the others have.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
import orjson

from harness import late
from harness.contender import CONTENDERS, OURS, Contender
from harness.kafka_proxy import KafkaProxy
from harness.kafka_server import KafkaServer
from harness.trial import ANOMALIES, Result, Trial
from harness.world import SESSION_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence


def kill(trial: Trial) -> None:
    """Kill -9 a worker three times, each started again soon."""
    for _ in range(3):
        trial.rest(trial.chance.uniform(5, 8))
        trial.kill(trial.some())


def zombie(trial: Trial) -> None:
    """Freeze a worker past its session, twice; another takes over, and it wakes."""
    for _ in range(2):
        trial.rest(trial.chance.uniform(2, 5))
        trial.freeze(trial.some(), SESSION_SECONDS + trial.chance.uniform(1, 6))


def storm(trial: Trial) -> None:
    """Two workers, three and two again, for 2 seconds each."""
    for _ in range(4):
        trial.scale(3)
        trial.rest(2)
        trial.scale(2)
        trial.rest(2)


def broker(trial: Trial) -> None:
    """Kill -9 the broker twice, up to 3 seconds away: `_break_broker` does it, for all at once."""
    trial.rest(30)


def _break_broker(kafka: KafkaServer, seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(2):
        time.sleep(chance.uniform(5, 8))
        kafka.kill()
        time.sleep(chance.uniform(0, 3))
        kafka.start()


_AT_ONCE: Final = 3
"""More contenders than that make each other slow on two cores."""
SCENARIOS: Final[dict[str, Callable[[Trial], None]]] = {
    "kill -9": kill,
    "zombie": zombie,
    "storm": storm,
    "broker killed": broker,
    late.NAME: late.late,
}


def contest(
    scenario: str, contenders: Sequence[Contender], directory: Path, seed: int, rate: int
) -> list[Result]:
    """Let contenders go through a scenario, all at the same time, on one broker."""
    directory.mkdir(parents=True)
    kafka = KafkaServer(directory)
    kafka.start()
    fault = SCENARIOS[scenario]
    own = kafka.bootstrap_servers
    trials = [
        Trial(
            each,
            own,
            directory / each.package,
            seed,
            KafkaProxy(own) if fault is late.late else None,
        )
        for each in contenders
    ]

    def run(trial: Trial) -> Result:
        fault(trial)
        trial.rest(3)
        result = trial.finish(scenario)
        seen = late.on_the_wire(trial.proxy.requests) if trial.proxy else {}
        return result._replace(wire=seen, late=list(trial.late))

    try:
        with ThreadPoolExecutor(len(trials) + 1) as pool:
            list(pool.map(lambda trial: trial.begin(rate), trials))
            if fault is broker:
                pool.submit(_break_broker, kafka, seed)
            return list(pool.map(run, trials))
    finally:
        for trial in trials:
            trial.pipeline.end()
            if trial.proxy:
                trial.proxy.close()
        kafka.kill()


def cell(results: Iterable[Result]) -> str:
    """Write what came of a contender in a scenario, over all seeds."""
    results = list(results)
    if not all(each.started for each in results):
        return "does not run"
    counts = {name: sum(each.counts[name] for each in results) for name in ANOMALIES}
    found = ", ".join(f"{count:,} {name}" for name, count in counts.items() if count)
    if any(each.stood_still for each in results):
        found = f"{found or 'none'}, stood still"
    return f"{found or 'none'} ({max(each.slowest_seconds for each in results):.0f} s)"


def table(results: Sequence[Result], versions: dict[str, str]) -> str:
    """Write a Markdown table: contenders by scenarios, anomalies and the slowest shadow."""
    scenarios = list(dict.fromkeys(each.scenario for each in results))
    rows = [["", *scenarios], ["---"] * (len(scenarios) + 1)]
    for name, version in versions.items():
        own = [each for each in results if each.contender == name]
        cells = [cell(each for each in own if each.scenario == what) for what in scenarios]
        rows.append([f"{name} {version}", *cells])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def failed(results: Iterable[Result]) -> bool:
    """Tell whether ours has an anomaly, or stands still."""
    own = [each for each in results if each.contender == OURS.name]
    return any(not each.started or each.stood_still or any(each.counts.values()) for each in own)


@click.command()
@click.option("--seed", "seeds", multiple=True, type=int, default=[1], show_default=True)
@click.option("--rate", default=500, show_default=True, help="Ratings a second, to each.")
@click.option("--scenario", "scenarios", multiple=True, type=click.Choice(list(SCENARIOS)))
@click.option("--only", multiple=True, help="Packages, in place of all.")
@click.option("--directory", type=click.Path(path_type=Path), help="For logs and results.json.")
def main(
    seeds: list[int],
    rate: int,
    scenarios: list[str],
    only: list[str],
    directory: Path | None,
) -> None:
    """Run all; end with 1 if ours has an anomaly."""
    directory = directory or Path(tempfile.mkdtemp(prefix="rivals-"))
    contenders = [each for each in CONTENDERS if not only or each.package in only]
    versions = {each.name: each.version() for each in contenders}
    results: list[Result] = []
    for seed in seeds:
        for name in scenarios or SCENARIOS:
            click.echo(f"seed {seed}: {name}", err=True)
            place = directory / str(seed) / name.replace(" ", "-")
            for start in range(0, len(contenders), _AT_ONCE):
                some = contenders[start : start + _AT_ONCE]
                results += contest(name, some, place / some[0].package, seed, rate)
            kept = {"versions": versions, "results": [each._asdict() for each in results]}
            (directory / "results.json").write_bytes(orjson.dumps(kept, option=orjson.OPT_INDENT_2))
    click.echo(table(results, versions))
    if late.NAME in (scenarios or SCENARIOS):
        click.echo(f"\n{late.table(results)}")
    click.echo(f"\nseeds {', '.join(map(str, seeds))}; {rate} ratings a second; in {directory}")
    sys.exit(failed(results))


if __name__ == "__main__":
    main()
