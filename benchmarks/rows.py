"""ClickHouse: rows a second out of the topic, and seconds from a rating to its row, by settings.

`make bench-clickhouse` runs it, with the embedded ClickHouse of the demo. Writes
`benchmarks/results/clickhouse.json`.
"""

from __future__ import annotations

import sys
import tempfile
import time
from datetime import datetime, timezone
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

import click
from confluent_kafka import Producer

from arena import Arena, Load, arena, end
from bench import save
from domination.clickhouse import schema
from domination.humans import human_ratings
from domination.settings import from_environment
from domination.shadows import encode, judge
from harness.clickhouse_core import ClickHouseCore
from harness.processes import eventually

WORKER: Final = [sys.executable, "-m", "domination", "worker"]
_AS_IT_COMES: Final = "kafka_flush_interval_ms = 1000"
CASES: Final = (
    _AS_IT_COMES,
    "kafka_flush_interval_ms = 100",
    "kafka_flush_interval_ms = 500",
    "kafka_flush_interval_ms = 7500",
    f"{_AS_IT_COMES}, kafka_num_consumers = 3",
    f"{_AS_IT_COMES}, kafka_num_consumers = 3, kafka_thread_per_consumer = 1",
    f"{_AS_IT_COMES}, kafka_max_block_size = 65536",
    f"{_AS_IT_COMES}, kafka_max_block_size = 1048576, kafka_poll_max_batch_size = 1048576",
    f"{_AS_IT_COMES}, kafka_poll_timeout_ms = 50",
)
_PARTITIONS: Final = 3
_BATCH: Final = 5_000
_RATE: Final = 1_000
_LONGEST_SECONDS: Final = 120


class Found(NamedTuple):
    """What one setting gives."""

    settings: str
    rows: float
    """Rows a second, from the first record read to the last row visible."""
    seconds: float
    """Until all were visible, from the making of the tables on."""
    fresh: dict[str, float]
    """Seconds from a rating to its row at 1,000 ratings a second, by percentile."""


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


def tables(core: ClickHouseCore, environment: dict[str, str], settings: str) -> None:
    """Make the tables of schema/, the stream with other settings."""
    for _, sql in schema.statements(from_environment(environment)):
        core.execute(sql.replace(_AS_IT_COMES, settings))


def throughput(
    core: ClickHouseCore, environment: dict[str, str], case: str, count: int
) -> tuple[float, float]:
    """Give rows a second, from the first record read to the last row visible, and all seconds."""
    started = began = time.perf_counter()
    tables(core, environment, case)
    while True:
        ((rows,),) = core.execute("SELECT count() FROM shadow")
        now = time.perf_counter()
        assert now - started < _LONGEST_SECONDS, f"{rows} of {count} rows in time"
        if rows >= count:
            return count / (now - began), now - started
        if not rows:
            ((read,),) = core.execute("SELECT sum(num_messages_read) FROM system.kafka_consumers")
            began = began if int(read) else now
        time.sleep(0.02)


def freshness(
    core: ClickHouseCore, environment: dict[str, str], seconds: float
) -> dict[str, float]:
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
    seen, started = 0, time.perf_counter()
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
    late = sorted(delays)
    return {
        name: late[int(share * (len(late) - 1))]
        for name, share in (("p50", 0.5), ("p99", 0.99), ("max", 1.0))
    }


@click.command()
@click.option("--records", default=2_000_000, show_default=True)
@click.option("--seconds", default=15.0, show_default=True, help="Of each freshness.")
def main(records: int, seconds: float) -> None:
    """Measure ClickHouse's side."""
    found: list[Found] = []
    with arena() as place:
        topic = fill(place, records)
        for number, case in enumerate(CASES):
            environment = place.environment(Load(place.topic("ratings", 3), 3, {}, 0))
            environment["DOMINATION_CLICKHOUSE_GROUP"] = f"rows-{number}"
            core = ClickHouseCore(Path(tempfile.mkdtemp(dir=place.directory)))
            core.start()
            full = environment | {"DOMINATION_OUTPUT_TOPIC": topic}
            rate, whole = throughput(core, full, case, records)
            core.kill()
            core = ClickHouseCore(Path(tempfile.mkdtemp(dir=place.directory)))
            core.start()
            tables(core, environment, case)
            worker = place.start(WORKER, environment)
            try:
                fresh = freshness(core, environment, seconds)
            finally:
                end(worker)
                core.kill()
            found.append(Found(case, rate, whole, fresh))
            told = ", ".join(f"{name} {value:.2f} s" for name, value in fresh.items())
            click.echo(f"{case:<88}{rate:>12,.0f} rows/s, all after {whole:.1f} s; {told}")
    save("clickhouse", records=records, cases=[each._asdict() for each in found])


if __name__ == "__main__":
    main()
