"""The records of a poll, as columns over the client's messages."""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import Message

from domination.exactly_once.batch import Record, Records

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from domination.exactly_once.batch import Headers


class Fetched(Records):
    """Records whose other columns wait in the messages until somebody asks for them."""

    def __init__(self, topic: str, messages: list[Any]) -> None:
        super().__init__(topic, list(map(Message.value, messages)))
        self._messages = messages
        self._read_headers: list[Headers | None] | None = None
        self._unreadable: set[int] = set()
        """The places of the records whose headers cannot be read."""

    @property
    def keys(self) -> Sequence[bytes | None]:
        """The keys."""
        return list(map(Message.key, self._messages))

    @property
    def headers(self) -> Sequence[Headers | None]:
        """The headers of each; None where there are none, or they cannot be read."""
        # A message is asked once: what it gives when it is asked again is not safe to touch.
        if self._read_headers is None:
            found: list[Headers | None] = []
            left = map(_HEADERS, self._messages)
            while len(found) < len(self._messages):
                try:
                    found.extend(left)
                except UNREADABLE:  # noqa: PERF203 - it goes on behind the one that failed
                    self._unreadable.add(len(found))
                    found.append(None)
            self._read_headers = found
        return self._read_headers

    @property
    def timestamps(self) -> Sequence[int]:
        """In milliseconds since 1970; -1 where a record has none."""
        return list(map(_SECOND, map(Message.timestamp, self._messages)))

    @property
    def partitions(self) -> Sequence[int]:
        """The partition of each."""
        return list(map(_PARTITION, self._messages))

    @property
    def offsets(self) -> Sequence[int]:
        """The offset of each in its partition."""
        return list(map(_OFFSET, self._messages))

    def record(self, place: int) -> Record:
        """Give one record whole."""
        message: Any = self._messages[place]
        headers = self.headers[place] or []
        return Record(
            self.topic,
            message.partition(),
            message.offset(),
            message.timestamp()[1],
            message.key(),
            message.value(),
            None if place in self._unreadable else headers,
        )

    def sampled(self, step: int) -> list[int]:
        """Give the timestamps of the first record and each `step`-th after it."""
        return [message.timestamp()[1] for message in self._messages[::step]]


UNREADABLE: Final = (SystemError, UnicodeDecodeError)
"""What a client raises for headers that it cannot read; the first is the second, noticed late."""
_SECOND: Final = itemgetter(1)
# Unbound, so that the calls come from C; each of these records has all three.
_HEADERS: Final[Any] = Message.headers
_PARTITION: Final[Any] = Message.partition
_OFFSET: Final[Any] = Message.offset


def readable(read: Callable[[], Any]) -> Headers | None:
    """Read a record's headers, once; None where they cannot be read.

    Kafka takes any bytes for a header's name, the client only UTF-8; what it then gives when it is
    asked again is not safe to touch.
    """
    try:
        return read() or []
    except UNREADABLE:
        return None
