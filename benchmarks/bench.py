"""Throughput: ours and others, side by side on one broker, in alternating order.

`make bench` runs it. Each contestant works on the same topic of ratings, and everything that it
wrote is read and validated. Prints a table; writes `benchmarks/results/throughput.json`, from which
`plot.py` draws.
"""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

import click
import orjson

from arena import Arena, Load, Run, arena
from contestants import CONTESTANTS, HALVES, OURS, Contestant
from harness.kafka_server import POM

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

_RESULTS: Final = Path(__file__).parent / "results"

T = TypeVar("T")


class Row(NamedTuple):
    """A line of the table: medians over the rounds, and how far they spread."""

    rate: float
    slowest: float
    fastest: float
    later_rate: float
    cpu: float
    memory: float
    start: float
    times: float
    """How many times faster ours is, in the median of the rounds."""
    later_times: float
    records: int


def machine() -> dict[str, Any]:
    """Say what all this runs on."""
    info = Path("/proc/cpuinfo").read_text()
    models = [line.partition(": ")[2] for line in info.splitlines() if "model name" in line]
    version = POM.read_text().partition("<version>4")[2].partition("<")[0]
    return {
        "processor": models[0] if models else platform.machine(),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "kafka": f"4{version}",
    }


def save(name: str, **found: Any) -> None:
    """Keep what was found, and on what machine, in `benchmarks/results`."""
    _RESULTS.mkdir(exist_ok=True)
    told = orjson.dumps({"machine": machine()} | found, option=orjson.OPT_INDENT_2)
    (_RESULTS / f"{name}.json").write_bytes(told)


def fill(contestant: Contestant, load: Load, directory: Path) -> list[str]:
    """Give a contestant's command for a load; what it keeps goes into a directory of its own."""
    kept = tempfile.mkdtemp(dir=directory)
    values = {"directory": kept, "records": len(load.types), "partitions": load.partitions}
    if contestant.prepare:
        subprocess.run([each.format(**values) for each in contestant.prepare], check=True)
    return [each.format(**values) for each in contestant.command]


def half(place: Arena, contestant: Contestant, load: Load) -> Run:
    """Run one that measures itself."""
    environment = place.environment(load)
    process = place.start(fill(contestant, load, place.directory), environment)
    assert process.wait(300) == 0, contestant.name
    told = orjson.loads(place.log(environment))
    rate = told["records"] / told["seconds"]
    return Run(told["records"], rate, rate, 0.0, 0.0, 0.0)


def in_turn(everyone: Sequence[T], rounds: int) -> Iterator[tuple[int, T]]:
    """Give everyone in each round, from 0, every other round in the opposite order."""
    for number in range(rounds):
        for each in everyone if number % 2 == 0 else everyone[::-1]:
            yield number, each


def rounds(
    count: int, contestants: Sequence[Contestant], measure: Callable[[Contestant], Run]
) -> tuple[dict[str, list[Run]], dict[str, str]]:
    """Measure everyone so many times, in turn.

    Gives the runs, and by name why someone could not run, or did not do the work.
    """
    runs: dict[str, list[Run]] = defaultdict(list)
    reasons = {each.name: f"not run: {each.missing}" for each in contestants if each.missing}
    for number, each in in_turn(contestants, count):
        if each.name in reasons:
            continue
        try:
            run = measure(each)
        except AssertionError as error:
            if each is OURS:
                raise
            reasons[each.name] = f"failed: {error}"
            click.echo(f"{each.name}: {reasons[each.name]}", err=True)
        else:
            runs[each.name].append(run)
            click.echo(f"round {number + 1}: {each.name}: {run.rate:,.0f}/s", err=True)
    return runs, reasons


def row(runs: Sequence[Run], ours: Sequence[Run]) -> Row:
    """Sum a contestant's runs up."""
    pairs = list(zip(ours, runs, strict=False))
    return Row(
        rate=statistics.median(run.rate for run in runs),
        slowest=min(run.rate for run in runs),
        fastest=max(run.rate for run in runs),
        later_rate=statistics.median(run.later_rate for run in runs),
        cpu=statistics.median(run.cpu for run in runs),
        memory=max(run.memory for run in runs),
        start=statistics.median(run.start for run in runs),
        times=statistics.median([mine.rate / run.rate for mine, run in pairs] or [0.0]),
        later_times=statistics.median(
            [mine.later_rate / run.later_rate for mine, run in pairs] or [0.0]
        ),
        records=min(run.records for run in runs),
    )


_HEAD: Final = (
    *("", "version", "guarantee", "records/s", "lowest, highest", "second half"),
    *("Domination is faster by (second half)", "CPU µs a record", "MB", "first record after"),
)


def table(
    contestants: Sequence[Contestant], rows: Mapping[str, Row], reasons: Mapping[str, str]
) -> str:
    """Write the rows in Markdown."""
    lines = [_HEAD, ["---"] * len(_HEAD)]
    for each in contestants:
        if each.name in reasons:
            cells = [reasons[each.name], *[""] * 6]
        else:
            found = rows[each.name]
            cells = [
                f"{found.rate:,.0f}",
                f"{found.slowest:,.0f}, {found.fastest:,.0f}",
                f"{found.later_rate:,.0f}",
                f"{found.times:.2f} ({found.later_times:.2f})",
                *((f"{found.cpu:.2f}", f"{found.memory:.0f}") if found.cpu else ("", "")),
                f"{found.start:.1f} s" if found.start else "",
            ]
        lines.append([each.name, each.version, each.guarantee, *cells])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


@click.command()
@click.option("--records", default=1_000_000, show_default=True)
@click.option("--partitions", default=3, show_default=True)
@click.option("--rounds", "count", default=3, show_default=True)
@click.option("--seconds", default=15.0, show_default=True, help="The longest run.")
@click.option("--only", multiple=True, help="A contestant's name; may be given again.")
def main(records: int, partitions: int, count: int, seconds: float, only: tuple[str, ...]) -> None:
    """Measure throughput."""
    wanted = [each for each in (*CONTESTANTS, *HALVES) if not only or each.name in only]
    with arena() as place:
        load = place.load(records, partitions)

        def measure(contestant: Contestant) -> Run:
            if contestant in HALVES:
                return half(place, contestant, load)
            command = fill(contestant, load, place.directory)
            return place.run([command], load, seconds, contestant.environment)

        measure(OURS)  # Does not count: the broker, a virtual machine too, warms up.
        runs, reasons = rounds(count, wanted, measure)
    ours = runs[OURS.name]
    rows = {name: row(each, ours) for name, each in runs.items() if each}
    save(
        "throughput",
        command=f"python benchmarks/bench.py {' '.join(sys.argv[1:])}".strip(),
        records=records,
        partitions=partitions,
        rounds=count,
        contestants={
            each.name: {
                "version": each.version,
                "guarantee": each.guarantee,
                "missing": reasons.get(each.name, ""),
                "median": None if each.name in reasons else rows[each.name]._asdict(),
                "runs": [run._asdict() for run in runs[each.name]],
            }
            for each in wanted
        },
    )
    click.echo(table(wanted, rows, reasons))


if __name__ == "__main__":
    main()
