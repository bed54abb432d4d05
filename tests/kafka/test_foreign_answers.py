"""What is told of an error of the client."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaError

from domination.kafka.faults import unavailable


def told(size: int) -> str:
    text = (
        f"here:1/bootstrap: Receive failed: Invalid response size {size} (0..1000): "
        "increase receive.message.max.bytes (after 3ms in state APIVERSION_QUERY)"
    )
    return str(unavailable(KafkaError(KafkaError._TRANSPORT, text), "here:1"))


@pytest.mark.parametrize("begin", [b"HTTP", b"<!DO", b"\x15\x03\x03\x00"])
def test_an_answer_that_is_not_kafkas_is_said_to_be_none(begin: bytes) -> None:
    size = int.from_bytes(begin, "big")
    assert told(size) == "no broker at here:1 (the server at that address does not speak Kafka)"


def test_of_an_answer_that_is_too_large_the_property_is_told() -> None:
    assert "increase receive.message.max.bytes" in told(100_000_000)
