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

    @property
    def keys(self) -> Sequence[bytes | None]:
        """The keys."""
        return list(map(Message.key, self._messages))

    @property
    def headers(self) -> Sequence[Headers | None]:
        """The headers of each; None where there are none, or they cannot be read."""
        try:
            return list(map(_HEADERS, self._messages))
        except (SystemError, UnicodeDecodeError):
            return [readable(message.headers) or None for message in self._messages]

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
        return Record(
            self.topic,
            message.partition(),
            message.offset(),
            message.timestamp()[1],
            message.key(),
            message.value(),
            readable(message.headers),
        )

    def sampled(self, step: int) -> list[int]:
        """Give the timestamps of the first record and each `step`-th after it."""
        return [message.timestamp()[1] for message in self._messages[::step]]


_SECOND: Final = itemgetter(1)
# Unbound, so that the calls come from C; each of these records has all three.
_HEADERS: Final[Any] = Message.headers
_PARTITION: Final[Any] = Message.partition
_OFFSET: Final[Any] = Message.offset


def readable(read: Callable[[], Any]) -> Headers | None:
    """Read a record's headers; None where they cannot be read.

    Kafka takes any bytes for a header's name, the client only UTF-8; what it then gives when it is
    asked again is not safe to touch.
    """
    try:
        return read() or []
    except (SystemError, UnicodeDecodeError):  # The first is the second, noticed late.
        return None
