"""The cost model: microseconds of CPU that a record costs, by stage, of a worker that is timed.

`make bench-stages` runs it. What librdkafka's own threads use is read from the kernel, by thread.
Writes `benchmarks/results/stages.json`.
"""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any, Final

import click
import orjson

from arena import arena, cpu_seconds, end
from bench import save

_STAGED: Final = [
    sys.executable,
    str(Path(__file__).parent / "contestants" / "staged.py"),
]


def threads(pid: int) -> dict[str, float]:
    """Give the CPU seconds of a process's threads, by their names."""
    found: dict[str, float] = defaultdict(float)
    for task in Path(f"/proc/{pid}/task").iterdir():
        name = (task / "comm").read_text().strip()
        found[name.rstrip("-0123456789")] += cpu_seconds(task / "stat")
    return found


@click.command()
@click.option("--records", default=2_000_000, show_default=True)
@click.option("--partitions", default=3, show_default=True)
def main(records: int, partitions: int) -> None:
    """Measure what a record costs, stage by stage."""
    with arena() as place:
        environment = place.environment(place.load(records, partitions))
        started = time.monotonic()
        process = place.start(_STAGED, environment)
        try:
            place.until([process], environment, records, 120)
            seconds = time.monotonic() - started
            used = threads(process.pid)
        finally:
            end(process)
        told: dict[str, Any] = orjson.loads(place.log(environment).splitlines()[-1])
    assert told["records"] == records, told
    rows = {stage: 1e6 * cpu / records for stage, (cpu, _) in told["stages"].items()}
    clock = {stage: 1e6 * wall / records for stage, (_, wall) in told["stages"].items()}
    rows["the rest of Python: start, Bytewax, the rule"] = 1e6 * told["thread"] / records - sum(
        rows.values()
    )
    for name, cpu in used.items():
        if name.startswith("rdk:"):
            rows[f"librdkafka's threads {name}"] = 1e6 * cpu / records
    for name, cost in rows.items():
        waited = f"{clock[name]:8.3f}" if name in clock else ""
        click.echo(f"{name:<48}{cost:8.3f} µs a record {waited}")
    click.echo(f"{'all':<48}{sum(rows.values()):8.3f} µs a record, {seconds:.1f} s in all")
    save("stages", records=records, cpu=rows, clock=clock)


if __name__ == "__main__":
    main()
