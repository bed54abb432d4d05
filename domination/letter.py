"""A dead letter of ratings, as people and programs read it, and the mark of one sent back."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from domination.exactly_once.dead_letter import Form
from domination.exactly_once.fetched import readable
from domination.reasons import LONGEST_REASON
from domination.settings import NAME
from domination.text import shortened

if TYPE_CHECKING:
    from domination.exactly_once.batch import Header
    from domination.exactly_once.dead_letter import Coordinates
    from domination.kafka.tail import Message

FORM: Final = Form(f"{NAME}.")
"""Of the dead letters' headers."""


class Letter(NamedTuple):
    """A dead letter: where it lies, why it is there, and the record it was."""

    partition: int
    offset: int
    reason: str
    message: str
    """What is wrong, in words; it never quotes the record."""
    origin: Coordinates
    key: bytes | None
    value: bytes | None
    headers: list[Header]
    """The original's own."""
    truncated: bool
    """Whether something of the original has been left out; it is whole at its origin."""

    def json(self) -> dict[str, Any]:
        """Write it for programs, without the record."""
        return {
            "partition": self.partition,
            "offset": self.offset,
            "reason": self.reason,
            "message": self.message,
            "origin": self.origin._asdict() | {"timestamp": _moment(self.origin.timestamp)},
            "truncated": self.truncated,
        }

    def whole(self) -> dict[str, Any]:
        """Write it with the record, each byte that is no text as an escape."""
        return self.json() | {
            "key": _text(self.key),
            "headers": [[name, _text(value)] for name, value in self.headers],
            "value": _text(self.value),
        }

    def line(self) -> str:
        """Write it as a row for people; long texts are cut, since others may have written them."""
        place = f"{self.partition}:{self.offset}"
        origin = f"{shortened(self.origin.topic, 60)}[{self.origin.partition}]@{self.origin.offset}"
        reason, message = shortened(self.reason, LONGEST_REASON), shortened(self.message, 200)
        return f"{place:<12}{reason:<24}{origin:<24}{message}"


class Mark(NamedTuple):
    """What stands for a letter that was sent back."""

    letter: int
    """Its offset, in the partition of the mark."""


def recognise(message: Message) -> Letter | Mark | None:
    """Read a record of the topic, once; None for what is neither a letter nor a mark."""
    headers = readable(message.headers)
    if headers is None:
        return None
    key, value, offset = message.key(), message.value(), message.offset() or 0
    if (marked := FORM.marked(key, value, headers)) is not None:
        # A letter is there before its mark.
        return Mark(marked) if marked < offset else None
    if (found := FORM.read(headers)) is None:
        return None
    reason, text, origin, own, truncated = found
    place = message.partition() or 0, offset
    return Letter(*place, reason, text, origin, key, value, own, truncated)


def _text(value: str | bytes | None) -> str | None:
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else value


def _moment(milliseconds: int) -> str | None:
    """Write a record's timestamp as ISO 8601; None where it has none that a calendar knows."""
    try:
        moment = datetime.fromtimestamp(milliseconds / 1000, timezone.utc)
    except (OverflowError, ValueError, OSError):
        return None
    return None if milliseconds < 0 else moment.isoformat(timespec="milliseconds")
