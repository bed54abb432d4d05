"""One trace from a rating to its shadow, with OpenTelemetry.

Both functions need `opentelemetry-api` only. The program that calls them sets up the SDK.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from opentelemetry.propagate import extract, inject
from opentelemetry.trace import SpanKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from confluent_kafka import Message, Producer
    from opentelemetry.trace import Tracer


def send(tracer: Tracer, producer: Producer, value: bytes) -> None:
    """Send a rating with the context of a new span."""
    with tracer.start_as_current_span("send rating", kind=SpanKind.PRODUCER):
        context: dict[str, str] = {}
        inject(context)
        producer.produce("dominate", value, headers=list(context.items()))


def receive(tracer: Tracer, message: Message, use: Callable[[bytes | None], None]) -> None:
    """Use a shadow within the trace of its rating."""
    headers = cast("list[tuple[str, bytes | None]]", message.headers() or [])
    context = extract({name: (value or b"").decode("latin-1") for name, value in headers})
    with tracer.start_as_current_span("use shadow", context, SpanKind.CONSUMER):
        use(message.value())
