"""The cost model: microseconds of CPU that a record costs, by stage, of a worker that is timed.

`make bench-stages` runs it. What librdkafka's own threads use is read from the kernel, by thread.
Writes `benchmarks/results/stages.json`.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any, Final

import click
import orjson

from arena import TICKS, Arena, end
from bench import RESULTS, machine
from kafka_server import KafkaServer

_STAGED: Final = [
    sys.executable,
    str(Path(__file__).parent / "contestants" / "staged.py"),
]


def threads(pid: int) -> dict[str, float]:
    """Give the CPU seconds of a process's threads, by their names."""
    found: dict[str, float] = defaultdict(float)
    for task in Path(f"/proc/{pid}/task").iterdir():
        name, _, rest = (task / "stat").read_text().partition("(")[2].rpartition(")")
        fields = rest.split()
        found[name.rstrip("-0123456789")] += (int(fields[11]) + int(fields[12])) / TICKS
    return found


@click.command()
@click.option("--records", default=2_000_000, show_default=True)
@click.option("--partitions", default=3, show_default=True)
def main(records: int, partitions: int) -> None:
    """Measure what a record costs, stage by stage."""
    with tempfile.TemporaryDirectory() as temporary:
        kafka = KafkaServer(Path(temporary))
        kafka.start()
        try:
            arena = Arena(kafka.bootstrap_servers, Path(temporary))
            load = arena.load(records, partitions)
            environment = arena.environment(load)
            started = time.monotonic()
            process = arena.start(_STAGED, environment)
            try:
                arena.until([process], environment, records, 120)
                seconds = time.monotonic() - started
                used = threads(process.pid)
            finally:
                end(process)
            told: dict[str, Any] = orjson.loads(arena.log(environment).splitlines()[-1])
        finally:
            kafka.kill()
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
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "stages.json").write_bytes(
        orjson.dumps(
            {"machine": machine(), "records": records, "cpu": rows, "clock": clock},
            option=orjson.OPT_INDENT_2,
        )
    )


if __name__ == "__main__":
    main()
