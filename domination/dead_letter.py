"""A dead letter: the original record, whole, with the reason and the place it came from. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from domination.wire import Fault

HEADER: Final = "domination.error."
TRUNCATED: Final = (HEADER + "truncated", b"1")

Header = tuple[str, str | bytes | None]


class Coordinates(NamedTuple):
    """Where the original stands; the timestamp is its record's, in milliseconds since 1970."""

    topic: str | None
    partition: int | None
    offset: int | None
    timestamp: int


def headers(fault: Fault, at: Coordinates) -> list[Header]:
    """Write the headers that a dead letter has after the original's own."""
    told = {"reason": fault.reason.value, "message": fault.message, **at._asdict()}
    return [(HEADER + name, str(value).encode()) for name, value in told.items()]


def size(key: bytes | None, value: bytes | None, own: Sequence[Header] = ()) -> int:
    """Bound a record's size in bytes as Kafka counts it, its varints at their longest."""
    bodies = len(key or b"") + len(value or b"")
    return 40 + bodies + sum(20 + len(name.encode()) + len(body or b"") for name, body in own)
