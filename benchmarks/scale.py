"""Scale: what ours does with more workers, partitions, records, bytes, or bad input.

`make bench-scale` runs it. Everything written is validated, as in `bench.py`. Writes
`benchmarks/results/scale.json`.
"""

from __future__ import annotations

import statistics
import sys
import time
from typing import TYPE_CHECKING, Final, NamedTuple

import click

from arena import Arena, Load, Run, arena, end, usage
from bench import save
from harness.processes import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

WORKER: Final = [sys.executable, "-m", "domination", "worker"]
BYTEWAX: Final = [sys.executable, "-m", "bytewax.run", "dataflows.dominate:flow"]
_IDLE_SECONDS: Final = 30.0


class Case(NamedTuple):
    """A setting of ours and what it is measured with."""

    question: str
    value: str
    processes: tuple[list[str], ...] = (WORKER,)
    records: int = 1_000_000
    partitions: int = 3
    bad: float = 0.0
    padding: int = 0
    environment: dict[str, str] = {}  # noqa: RUF012 - nobody changes it


def cases() -> Iterator[Case]:
    """Give every case, those of one load together."""
    for threads in (1, 2, 4):
        more = [*BYTEWAX, "-w", str(threads)]
        yield Case("threads", str(threads), (more,), partitions=4)
    for processes in (1, 2):
        yield Case("processes", str(processes), (WORKER,) * processes, partitions=4)
    addresses = "127.0.0.1:2101;127.0.0.1:2102"
    cluster = tuple([*BYTEWAX, "-i", str(number), "-a", addresses] for number in (0, 1))
    yield Case("processes", "2, a Bytewax cluster", cluster, partitions=4)
    for seconds in ("0.01", "0.05", "0.1", "0.5", "1"):
        own = {"DOMINATION_COMMIT_INTERVAL_SECONDS": seconds}
        yield Case("commit interval, seconds", seconds, environment=own)
    for partitions in (1, 3, 12, 96):
        yield Case("partitions", str(partitions), partitions=partitions)
    for share in (0.0, 0.01, 0.5, 1.0):
        yield Case("bad records", f"{share:.0%}", bad=share, records=500_000)
    for padding, records in ((0, 1_000_000), (1_000, 300_000), (10_000, 60_000), (100_000, 6_000)):
        yield Case("record size, bytes", f"{padding + 71:,}", padding=padding, records=records)
    for millions in (1, 5, 10):
        yield Case("backlog, million records", str(millions), records=millions * 1_000_000)


def idle(place: Arena) -> float:
    """Give the share of a core that a worker takes with nothing to do."""
    environment = place.environment(Load(place.topic("ratings", 3), 3, {}, 0))
    process = place.start(WORKER, environment)
    try:
        eventually(lambda: "assigned" in place.log(environment))
        time.sleep(3)
        before = usage(process.pid).cpu
        time.sleep(_IDLE_SECONDS)
        return (usage(process.pid).cpu - before) / _IDLE_SECONDS
    finally:
        end(process)


def line(case: Case, runs: Sequence[Run]) -> str:
    """Sum a case's runs up."""
    rate = statistics.median(run.rate for run in runs)
    cpu = statistics.median(run.cpu for run in runs)
    start = statistics.median(run.start for run in runs)
    memory = max(run.memory for run in runs)
    return (
        f"{case.question:<28}{case.value:>22}{rate:>12,.0f}/s{cpu:8.2f} µs a record"
        f"{memory:7.0f} MB{start:7.2f} s to the first"
    )


@click.command()
@click.option("--rounds", default=3, show_default=True)
@click.option("--only", multiple=True, help="A question; may be given again.")
@click.option("--most", default=10_000_000, show_default=True, help="Records of a load.")
def main(rounds: int, only: tuple[str, ...], most: int) -> None:
    """Measure how ours scales."""
    wanted = [
        each for each in cases() if (not only or each.question in only) and each.records <= most
    ]
    found: list[tuple[Case, list[Run]]] = []
    with arena() as place:
        resting = idle(place)
        click.echo(f"idle: {resting:.2%} of a core")
        loads: dict[tuple[float, ...], Load] = {}
        for case in wanted:
            shape = (case.records, case.partitions, case.bad, case.padding)
            if shape not in loads:
                for load in loads.values():
                    place.drop(load)
                loads = {shape: place.load(*shape)}
            runs = [
                place.run(list(case.processes), loads[shape], 120, case.environment)
                for _ in range(rounds)
            ]
            found.append((case, runs))
            click.echo(line(case, runs))
    told = [
        {
            "question": case.question,
            "value": case.value,
            "records": case.records,
            "partitions": case.partitions,
            "runs": [run._asdict() for run in runs],
        }
        for case, runs in found
    ]
    save("scale", idle=resting, cases=told)


if __name__ == "__main__":
    main()
