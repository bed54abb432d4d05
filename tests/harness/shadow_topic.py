"""Shadows that another program than the worker writes, straight to their topic."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Final

import orjson
from confluent_kafka import Producer

from domination.settings import Settings
from harness.processes import PATIENT_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.pipeline import Pipeline

TIME: Final = "2026-02-28 23:59:59.999"


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
