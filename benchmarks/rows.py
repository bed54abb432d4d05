"""ClickHouse: rows a second out of the topic, and seconds from a rating to its row, by settings.

`make bench-clickhouse` runs it, with the embedded ClickHouse of the demo. Writes
`benchmarks/results/clickhouse.json`.
"""

from __future__ import annotations

import re
import sys
import tempfile
import time
import uuid
from contextlib import contextmanager
from datetime import datetime, timezone
from itertools import islice
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final, NamedTuple

import click
from confluent_kafka import Producer

from arena import Arena, Load, arena, end, usage
from bench import save
from domination.clickhouse import schema
from domination.humans import human_ratings
from domination.settings import from_environment
from domination.shadows import encode, judge
from harness.clickhouse_core import ClickHouseCore
from harness.processes import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

WORKER: Final = [sys.executable, "-m", "domination", "worker"]
_SETTINGS: Final = re.compile(r"kafka_num_consumers = .*kafka_flush_interval_ms = \d+", re.DOTALL)
"""The settings of the stream that a case has others of."""
_CHEAPLY: Final = "match(raw"


class Case(NamedTuple):
    """A stream, and how its records are read."""

    settings: str = ""
    """Other settings of the stream; empty: those of schema/."""
    whole: bool = False
    """Whether the worker's own form is parsed like any other JSON."""

    @property
    def name(self) -> str:
        """Say what it is."""
        parsed = ", each record parsed as JSON" if self.whole else ""
        return (self.settings or "as it comes") + parsed


_ONE: Final = "kafka_num_consumers = 1"
_TWO: Final = "kafka_num_consumers = 2"
_THREADS: Final = "kafka_thread_per_consumer = 1"
_ONE_POLL: Final = "kafka_poll_timeout_ms = 700, kafka_flush_interval_ms = 600"
_SECOND: Final = "kafka_flush_interval_ms = 1000"
BEFORE: Final = Case(f"{_ONE}, {_SECOND}", whole=True)
"""What it was, before the worker's own form was cut and there were two consumers."""
CASES: Final = (
    BEFORE,
    Case(),
    Case(whole=True),
    Case(f"{_ONE}, {_ONE_POLL}"),
    Case(f"{_TWO}, {_ONE_POLL}"),
    Case(f"{_TWO}, {_THREADS}, {_SECOND}"),
)
_PARTITIONS: Final = 3
_BATCH: Final = 5_000
_RATE: Final = 1_000
_LONGEST_SECONDS: Final = 120


class Speed(NamedTuple):
    """How fast the topic became rows, once."""

    rows: float
    """Rows a second, from the first record read to the last row visible."""
    cpu: float
    """Microseconds of ClickHouse's CPU a row."""
    seconds: float
    """Until all were visible, from the creation of the tables on."""


class Freshness(NamedTuple):
    """How late rows were at 1,000 ratings a second, once."""

    p50: float
    """Seconds from a rating to its row."""
    p99: float
    longest: float
    parts: float
    """Parts that were written to `shadow` a minute."""


def fill(place: Arena, count: int) -> str:
    """Fill a topic with shadows."""
    topic = place.topic("shadows", _PARTITIONS)
    own = {"compression.type": "lz4", "linger.ms": 50, "queue.buffering.max.messages": 1_000_000}
    producer = Producer({"bootstrap.servers": place.bootstrap_servers} | own)
    humans = human_ratings(1)
    for _ in range(count // _BATCH):
        shadows = judge(list(islice(humans, _BATCH)))
        left = [{"value": value} for value in encode(shadows, datetime.now(timezone.utc))]
        while left:
            producer.produce_batch(topic, left)
            left = [each for each in left if each.pop("_error", None)]
            producer.poll(0.05 if left else 0)
    assert producer.flush(120) == 0
    return topic


def tables(core: ClickHouseCore, environment: dict[str, str], case: Case) -> None:
    """Create the tables of schema/ with the stream of a case."""
    for _, sql in schema.statements(from_environment(environment)):
        changed = _SETTINGS.sub(case.settings, sql) if case.settings else sql
        core.execute(changed.replace(_CHEAPLY, f"0 AND {_CHEAPLY}") if case.whole else changed)


def throughput(core: ClickHouseCore, environment: dict[str, str], case: Case, count: int) -> Speed:
    """Give how fast the records of a topic become rows."""
    core.execute("SELECT 1")  # It has started.
    cpu = usage(core.pid).cpu
    started = began = time.perf_counter()
    tables(core, environment, case)
    while True:
        ((rows,),) = core.execute("SELECT count() FROM shadow")
        now = time.perf_counter()
        assert now - started < _LONGEST_SECONDS, f"{rows} of {count} rows in time"
        if rows >= count:
            cpu = usage(core.pid).cpu - cpu
            return Speed(count / (now - began), cpu / count * 1e6, now - started)
        if not rows:
            ((read,),) = core.execute("SELECT sum(num_messages_read) FROM system.kafka_consumers")
            began = began if int(read) else now
        time.sleep(0.02)


def freshness(core: ClickHouseCore, environment: dict[str, str], seconds: float) -> Freshness:
    """Send ratings at a rate while a worker runs; give when their rows could be seen."""
    producer = Producer(
        {"bootstrap.servers": environment["DOMINATION_KAFKA_BOOTSTRAP_SERVERS"], "linger.ms": 0}
    )
    topic = environment["DOMINATION_INPUT_TOPIC"]
    # All are there and work once this one has come.
    producer.produce(topic, b'{"rating":1,"unique_id":"first"}')
    producer.flush()
    eventually(lambda: core.execute("SELECT count() FROM shadow") == [(1,)], 60)
    sent: list[float] = []
    delays: list[float] = []
    seen, before, started = 0, blocks(core), time.perf_counter()
    deadline = started + seconds + 60
    while seen < int(seconds * _RATE):
        now = time.perf_counter()
        assert now < deadline, f"{seen} rows of {len(sent)} ratings"
        due = min(int((now - started) * _RATE), int(seconds * _RATE))
        for number in range(len(sent), due):
            value = b'{"rating":%d,"unique_id":"%012d"}' % (number % 101, number)
            producer.produce(topic, value)
            sent.append(time.perf_counter())
        producer.poll(0)
        rows = int(core.execute("SELECT count() FROM shadow")[0][0]) - 1
        now = time.perf_counter()
        # Partitions come nearly in step: the rows that are there are those of the first ratings.
        delays += [now - sent[number] for number in range(seen, rows)]
        seen = max(seen, rows)
        time.sleep(0.01)
    parts = (blocks(core) - before) / (time.perf_counter() - started) * 60
    late = sorted(delays)
    p50, p99 = (late[int(share * (len(late) - 1))] for share in (0.5, 0.99))
    return Freshness(p50, p99, late[-1], parts)


def blocks(core: ClickHouseCore) -> int:
    """Count the parts that were ever written to `shadow`, before merges."""
    query = "SELECT max(max_block_number) FROM system.parts WHERE table = 'shadow'"
    return int(core.execute(query)[0][0])


def fast(place: Arena, topic: str, case: Case, count: int) -> Speed:
    """Let a new ClickHouse read a full topic."""
    environment = place.environment(Load(place.topic("ratings", _PARTITIONS), _PARTITIONS, {}, 0))
    group = f"rows-{uuid.uuid4().hex[:8]}"
    own = {"DOMINATION_OUTPUT_TOPIC": topic, "DOMINATION_CLICKHOUSE_GROUP": group}
    with clickhouse(place) as core:
        return throughput(core, environment | own, case, count)


def fresh(place: Arena, case: Case, seconds: float) -> Freshness:
    """Let a new ClickHouse read behind a worker."""
    environment = place.environment(Load(place.topic("ratings", _PARTITIONS), _PARTITIONS, {}, 0))
    environment["DOMINATION_CLICKHOUSE_GROUP"] = f"rows-{uuid.uuid4().hex[:8]}"
    with clickhouse(place) as core:
        tables(core, environment, case)
        worker = place.start(WORKER, environment)
        try:
            return freshness(core, environment, seconds)
        finally:
            end(worker)


@contextmanager
def clickhouse(place: Arena) -> Iterator[ClickHouseCore]:
    """Give a new ClickHouse."""
    core = ClickHouseCore(Path(tempfile.mkdtemp(dir=place.directory)))
    core.start()
    try:
        yield core
    finally:
        core.kill()


class Line(NamedTuple):
    """A line of the table: medians over the rounds."""

    name: str
    rows: float
    slowest: float
    fastest: float
    times: float
    """How many times as fast as `BEFORE`, in the median of the rounds."""
    cpu: float
    p50: float
    p99: float
    longest: float
    parts: float


def line(case: Case, speeds: list[Speed], before: list[Speed], late: list[Freshness]) -> Line:
    """Give the medians of a case."""
    rates = [each.rows for each in speeds]
    times = median(rate / each.rows for rate, each in zip(rates, before, strict=True))
    cpu = median(each.cpu for each in speeds)
    medians = (median(column) for column in zip(*late, strict=True))
    return Line(case.name, median(rates), min(rates), max(rates), times, cpu, *medians)


@click.command()
@click.option("--records", default=2_000_000, show_default=True)
@click.option("--seconds", default=15.0, show_default=True, help="Of each freshness.")
@click.option("--rounds", default=3, show_default=True, help="Of all cases, in turn.")
@click.option("--only", default="", help="Only the cases whose name has this, and the first.")
def main(records: int, seconds: float, rounds: int, only: str) -> None:
    """Measure ClickHouse's side."""
    cases = [case for case in CASES if case is BEFORE or only in case.name]
    speeds: dict[Case, list[Speed]] = {case: [] for case in cases}
    late: dict[Case, list[Freshness]] = {case: [] for case in cases}
    with arena() as place:
        topic = fill(place, records)
        for _ in range(rounds):
            for case in cases:
                speeds[case].append(fast(place, topic, case, records))
                click.echo(f"{case.name}: {speeds[case][-1]}")
        for _ in range(rounds):
            for case in cases:
                late[case].append(fresh(place, case, seconds))
                click.echo(f"{case.name}: {late[case][-1]}")
    found = [line(case, speeds[case], speeds[BEFORE], late[case]) for case in cases]
    click.echo(
        "\n| stream | rows/s | lowest, highest | times as fast | CPU µs a row"
        " | p50 | p99 | longest | parts/min |"
    )
    click.echo("|---|---|---|---|---|---|---|---|---|")
    for each in found:
        click.echo(
            f"| {each.name} | {each.rows:,.0f} | {each.slowest:,.0f}, {each.fastest:,.0f}"
            f" | {each.times:.2f} | {each.cpu:.2f}"
            f" | {each.p50:.2f} s | {each.p99:.2f} s | {each.longest:.2f} s | {each.parts:.0f} |"
        )
    save("clickhouse", records=records, rounds=rounds, cases=[each._asdict() for each in found])


if __name__ == "__main__":
    main()
