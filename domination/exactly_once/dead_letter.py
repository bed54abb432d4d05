"""A dead letter: the original record, whole, with the reason and the place it came from. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from domination.exactly_once.batch import Fault, Header, Headers, Record


# Of 64 bits, as Kafka's are: what others wrote may be as long as they like.
_NUMBER: Final = re.compile(r"-?[0-9]{1,19}")


class Coordinates(NamedTuple):
    """Where the original stands; the timestamp is its record's, in milliseconds since 1970."""

    topic: str
    partition: int
    offset: int
    timestamp: int


class DeadLetter(NamedTuple):
    """What the headers of a dead letter tell."""

    reason: str
    message: str
    origin: Coordinates
    headers: list[Header]
    """The original's own."""
    truncated: bool


class Form:
    """How a dead letter's headers are named: `{prefix}error.reason` and so on."""

    def __init__(self, prefix: str) -> None:
        self.replayed: Final = prefix + "replayed"
        """The header of a mark: the letter at this offset of the same partition was sent back."""
        names = ("reason", "message", *Coordinates._fields)
        self._names: Final = tuple(f"{prefix}error.{name}" for name in names)
        self._truncated: Final = (f"{prefix}error.truncated", b"1")

    def write(self, record: Record, fault: Fault, original: Headers | None) -> Headers:
        """Write a dead letter's headers: the original's, then why it is one, and its `Coordinates`.

        Where the original's are None, they are left out, and the letter says so.
        """
        place = record.topic, *map(str, record[1:4])
        own: Headers = [
            (name, text.encode()) for name, text in zip(self._names, (*fault, *place), strict=True)
        ]
        return [*own, self._truncated] if original is None else [*original, *own]

    def read(self, found: Sequence[Header]) -> DeadLetter | None:
        """Read the headers of a dead letter; None where they are not those of one.

        Ours come last: the original may have been a dead letter itself.
        """
        rest = list(found)
        truncated = rest[-1:] == [self._truncated]
        if truncated:
            rest.pop()
        ours = dict(rest[-len(self._names) :])
        if tuple(ours) != self._names:
            return None
        try:
            reason, message, topic, *numbers = (str(value, "utf-8") for value in ours.values())  # type: ignore[arg-type]  # TypeError
        except (TypeError, ValueError):
            return None
        if not all(map(_NUMBER.fullmatch, numbers)):
            return None
        origin = Coordinates(topic, *map(int, numbers))
        return DeadLetter(reason, message, origin, rest[: -len(self._names)], truncated)

    def mark(self, offset: int) -> list[Header]:
        """Write the headers of the mark that the letter at an offset was sent back."""
        return [(self.replayed, str(offset).encode())]

    def marked(self, key: object, value: object, found: Sequence[Header]) -> int | None:
        """Give the offset of the letter that a mark stands for; None for what is no mark.

        A letter carries whatever headers its record has had; a mark has no key, no value, and
        nothing but its one header.
        """
        if key is not None or value is not None or [name for name, _ in found] != [self.replayed]:
            return None
        ((_, offset),) = found
        text = offset.decode("latin-1") if isinstance(offset, bytes) else ""
        return int(text) if _NUMBER.fullmatch(text) else None


def size(key: bytes | None, value: bytes | None, headers: Sequence[Header] | None = None) -> int:
    """Bound a record's size in bytes as Kafka counts it, its varints at their longest."""
    bodies = len(key or b"") + len(value or b"")
    return (
        40
        + bodies
        + sum(20 + len(name.encode()) + len(body or b"") for name, body in headers or ())
    )
