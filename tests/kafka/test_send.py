"""Sending to one topic: what became of each record is known, or said to be unknown."""

from __future__ import annotations

import signal
from itertools import count
from random import Random
from typing import TYPE_CHECKING

import pytest

from domination.kafka.client import Connection
from domination.kafka.faults import UnavailableError, UnwritableError
from domination.kafka.send import Sender

if TYPE_CHECKING:
    from harness.kafka_server import KafkaServer
    from harness.pipeline import Pipeline


def sender(pipeline: Pipeline, timeout: float) -> Sender:
    return Sender(
        Connection({"bootstrap.servers": pipeline.bootstrap_servers}), pipeline.input, timeout
    )


def test_of_a_broker_that_stops_all_are_counted_and_what_nobody_knows_is_unconfirmed(
    own_kafka: KafkaServer, own_pipeline: Pipeline
) -> None:
    own_pipeline.create()
    sending, taken = sender(own_pipeline, timeout=3), count()
    sends = sending.send((("key", b"%d" % number) for number in taken), rate=1000)
    while sending.confirmed < 500:
        next(sends)
    own_kafka.send_signal(signal.SIGSTOP)
    assert sum(sends) > 0  # It goes on until the first time-out.
    with pytest.raises(UnavailableError) as told:
        sending.finish()
    own_kafka.send_signal(signal.SIGCONT)
    sent = next(taken)
    assert sending.sent == sent
    assert sending.unconfirmed == sent - sending.confirmed > 500
    assert str(told.value).startswith(
        f"of {sent:,} records {sending.confirmed:,} were delivered, 0 refused; "
        f"{sending.unconfirmed:,} are unconfirmed: {own_pipeline.input} may or may not have them ("
    )
    assert sending.confirmed <= len(own_pipeline.read(own_pipeline.input).records) <= sent


@pytest.mark.parametrize("size", [5_000, 2_000_000])
def test_what_is_too_large_for_the_topic_or_the_client_is_refused_once_and_said_so(
    pipeline: Pipeline, size: int
) -> None:
    pipeline.create(source={"max.message.bytes": "2000"})
    sending = sender(pipeline, timeout=30)
    assert sum(sending.send(iter([("key", Random(1).randbytes(size))]))) == 1
    with pytest.raises(UnwritableError, match=f"too large for {pipeline.input}") as told:
        sending.finish()
    assert "of 1 records 0 were delivered, 1 refused)" in str(told.value)
    assert (sending.confirmed, sending.refused, sending.unconfirmed) == (0, 1, 0)
