"""Shadows that another program than the worker writes, straight to their topic."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Final

import orjson
from confluent_kafka import Producer

from domination.clickhouse import schema
from domination.settings import Settings
from harness.processes import PATIENT_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from harness.clickhouse_core import ClickHouseCore
    from harness.pipeline import Pipeline

TIME: Final = "2026-02-28 23:59:59.999"

RECORDS: Final = (
    "CREATE TABLE records (raw String, _topic String, _partition UInt64, _offset UInt64,"
    " _timestamp_ms Nullable(DateTime64(3, 'UTC'))) ENGINE = Memory"
)
"""A table of records, in place of the stream."""


def settings_of(pipeline: Pipeline, brokers: str = "") -> Settings:
    return Settings(
        bootstrap_servers=pipeline.bootstrap_servers,
        output_topic=pipeline.output,
        clickhouse_group=f"shadow-{pipeline.group}",
        clickhouse_kafka_brokers=brokers,
    )


def shadow(kind: object = 1, unique_id: object = "x", time: object = TIME) -> bytes:
    return orjson.dumps({"type": kind, "unique_id": unique_id, "emit_timestamp": time})


def shadows(count: int) -> list[bytes]:
    return [shadow(number % 4, str(uuid.UUID(int=number))) for number in range(count)]


def write(pipeline: Pipeline, values: Iterable[bytes | None]) -> None:
    """Write straight to the topic of the shadows, as another program might."""
    producer = Producer({"bootstrap.servers": pipeline.bootstrap_servers})
    for value in values:
        producer.produce(pipeline.output, value)
        producer.poll(0)
    assert producer.flush(PATIENT_SECONDS) == 0


def hold(core: ClickHouseCore, values: Sequence[bytes], timestamp: str = TIME) -> None:
    """Let `records` hold these alone, at the first offsets of a partition."""
    core.execute("TRUNCATE TABLE records")
    if values:
        rows = ", ".join(f"('{value.hex()}', {number})" for number, value in enumerate(values))
        core.execute(
            f"INSERT INTO records SELECT unhex(value), 'shadow', 0, number, '{timestamp}'"
            f" FROM values('value String, number UInt64', {rows})"
        )


def reading() -> str:
    """Give the consumer's own question, asked of `records`."""
    select = dict(schema.statements(Settings()))[schema.CONSUMER].partition("\nAS ")[2]
    return select.replace(f"FROM {schema.STREAM}", "FROM records")
