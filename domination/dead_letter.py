"""A dead letter: the original record, whole, with the reason and the place it came from. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from domination.exactly_once.batch import Fault

HEADER: Final = "domination.error."
TRUNCATED: Final = (HEADER + "truncated", b"1")
REPLAYED: Final = "domination.replayed"
"""The header of a mark: the letter at this offset of the same partition has been sent back."""

Header = tuple[str, str | bytes | None]


class Coordinates(NamedTuple):
    """Where the original stands; the timestamp is its record's, in milliseconds since 1970."""

    topic: str
    partition: int
    offset: int
    timestamp: int


_NAMES: Final = tuple(HEADER + name for name in ("reason", "message", *Coordinates._fields))
_REASON, _MESSAGE, _TOPIC, _PARTITION, _OFFSET, _TIMESTAMP = _NAMES


def headers(
    original: Sequence[Header] | None, fault: Fault, place: tuple[str, int, int, int]
) -> list[Header]:
    """Write a dead letter's headers: the original's, then why it is one, and its `Coordinates`.

    Where the original's are None, they are left out, and the letter says so.
    """
    topic, partition, offset, timestamp = place
    found = [
        *(original or ()),
        (_REASON, fault.reason.encode()),
        (_MESSAGE, fault.message.encode()),
        (_TOPIC, topic.encode()),
        (_PARTITION, b"%d" % partition),
        (_OFFSET, b"%d" % offset),
        (_TIMESTAMP, b"%d" % timestamp),
    ]
    return [*found, TRUNCATED] if original is None else found


class Told(NamedTuple):
    """What the headers of a dead letter tell."""

    reason: str
    message: str
    origin: Coordinates
    headers: list[Header]
    """The original's own."""
    truncated: bool


def read(found: Sequence[Header]) -> Told | None:
    """Read the headers of a dead letter; None where they are not those of one.

    Ours come last: the original may have been a dead letter itself.
    """
    rest = list(found)
    truncated = rest[-1:] == [TRUNCATED]
    if truncated:
        rest.pop()
    ours = dict(rest[-len(_NAMES) :])
    if tuple(ours) != _NAMES:
        return None
    try:
        reason, message, topic, *numbers = (str(value, "utf-8") for value in ours.values())  # type: ignore[arg-type]  # TypeError
        origin = Coordinates(topic, *map(int, numbers))
    except (TypeError, ValueError):
        return None
    return Told(reason, message, origin, rest[: -len(_NAMES)], truncated)


def original(read: Callable[[], Any]) -> list[Header] | None:
    """Read a record's headers; None where they cannot be read.

    Kafka takes any bytes for a header's name, the client only UTF-8; what it then gives when it is
    asked again is not safe to touch.
    """
    try:
        return read() or []
    except (SystemError, UnicodeDecodeError):  # The first is the second, noticed late.
        return None


def size(key: bytes | None, value: bytes | None, own: Sequence[Header] = ()) -> int:
    """Bound a record's size in bytes as Kafka counts it, its varints at their longest."""
    bodies = len(key or b"") + len(value or b"")
    return 40 + bodies + sum(20 + len(name.encode()) + len(body or b"") for name, body in own)
