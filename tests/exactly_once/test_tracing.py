"""A trace goes from a rating to its shadow or dead letter, by the example of docs/operate.md."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

import pytest
from bytewax.testing import TestingSink, TestingSource, run_main
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

import tracing
from domination.exactly_once.batch import Batch, Headers, Outcome, Records
from domination.exactly_once.columns import columns
from domination.flow import dominate
from domination.letter import FORM

if TYPE_CHECKING:
    from confluent_kafka import Message, Producer
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import Tracer

RATING: Final = b'{"rating":3,"unique_id":"x"}'


class Side:
    """A program with an SDK of its own, whose spans stay in memory."""

    def __init__(self) -> None:
        self._spans = InMemorySpanExporter()
        self._provider = TracerProvider(shutdown_on_exit=False)
        self._provider.add_span_processor(SimpleSpanProcessor(self._spans))

    @property
    def tracer(self) -> Tracer:
        return self._provider.get_tracer("tests")

    def span(self) -> ReadableSpan:
        (span,) = self._spans.get_finished_spans()
        return span


class Line:
    """What a producer sends comes back as a consumer reads it: text of a header as bytes."""

    def __init__(self) -> None:
        self.sent: list[tuple[bytes, Headers]] = []

    def produce(self, topic: str, value: bytes, headers: list[tuple[str, str]]) -> None:
        assert topic == "dominate"
        self.sent.append((value, [(name, text.encode()) for name, text in headers]))


class Read:
    """A record, as a consumer reads it."""

    def __init__(self, value: bytes | None, headers: Headers | None) -> None:
        self._value, self._headers = value, headers

    def value(self) -> bytes | None:
        return self._value

    def headers(self) -> Headers | None:
        return self._headers


def send(tracer: Tracer, *values: bytes) -> Records:
    """Send ratings by the example; give the poll that has them."""
    line = Line()
    for value in values:
        tracing.send(tracer, cast("Producer", line), value)
    sent, headers = zip(*line.sent, strict=True)
    return Records("dominate", sent, headers=list(headers))


def receive(tracer: Tracer, headers: Headers | None, used: list[Any]) -> None:
    """Read a shadow by the example."""
    tracing.receive(tracer, cast("Message", Read(b"shadow", headers)), used.append)


def settled(poll: Records) -> Outcome:
    """Send a poll through the steps of a worker."""
    arrived: list[Batch[bytes | None]] = []
    run_main(dominate(TestingSource([poll]), TestingSink(arrived)))  # type: ignore[no-untyped-call]  # it is Rust's
    (outcome,) = arrived
    assert isinstance(outcome, Outcome)
    return outcome


def continues(before: ReadableSpan, after: ReadableSpan) -> bool:
    """Tell whether a span is in the trace of another, and its child."""
    old, parent = before.get_span_context(), after.parent
    assert old
    assert parent
    return (parent.trace_id, parent.span_id) == (old.trace_id, old.span_id)


def test_whoever_reads_a_shadow_continues_the_trace_of_whoever_sent_its_rating() -> None:
    sender, reader, used = Side(), Side(), list[Any]()
    written = columns(settled(send(sender.tracer, RATING)), ["shadow"])
    (headers,) = written.headers or []
    receive(reader.tracer, headers, used)
    assert used == [b"shadow"]
    assert continues(sender.span(), reader.span())
    assert (sender.span().kind, reader.span().kind) == (SpanKind.PRODUCER, SpanKind.CONSUMER)


def test_a_dead_letter_continues_the_trace_of_its_rating_too() -> None:
    sender, reader = Side(), Side()
    poll = send(sender.tracer, b"{")
    (reject,) = settled(poll).rejects
    record = poll.record(reject.place)
    receive(reader.tracer, FORM.write(record, reject.fault, record.headers), [])
    assert continues(sender.span(), reader.span())


@pytest.mark.parametrize("headers", [None, [("traceparent", b"\xff\xfe")], [("traceparent", None)]])
def test_a_shadow_without_a_trace_that_can_be_read_begins_one(headers: Headers | None) -> None:
    reader = Side()
    receive(reader.tracer, headers, [])
    assert reader.span().parent is None
    assert trace.get_current_span() is trace.INVALID_SPAN
