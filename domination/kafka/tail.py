"""Reading topics to their ends, as one who joins no group and commits nothing."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from confluent_kafka import (
    OFFSET_BEGINNING,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from domination.kafka import faults

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from domination.kafka.client import Connection

__all__ = ["Message", "Tail", "at", "from_first"]

_BATCH: Final = 500
_POLL_SECONDS: Final = 1.0
_SILENT_SECONDS: Final = 30.0


def from_first(topic: str, partitions: int) -> list[TopicPartition]:
    """Give the places of the first records of a topic."""
    return at(topic, range(partitions))


def at(
    topic: str, partitions: Iterable[int], offset: int = OFFSET_BEGINNING
) -> list[TopicPartition]:
    """Give the same place in some partitions of a topic."""
    return [TopicPartition(topic, number, offset) for number in partitions]


class Tail:
    """Reads partitions as far as they go, whenever it is asked. Aborted records are left out.

    `wait_ms`: how long the broker keeps an answer back where there is nothing new; the end of a
    partition is told with an answer. `group` only gives the client a name, and a right to need.
    """

    def __init__(self, connection: Connection, group: str, wait_ms: int = 500) -> None:
        self._connection = connection
        self._group = group
        own = {
            "group.id": group,
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
            "auto.offset.reset": "earliest",
            "queued.max.messages.kbytes": 3072,
            "fetch.wait.max.ms": wait_ms,
        }
        self._consumer = connection.consumer({}, own)
        self._unread: dict[tuple[str | None, int | None], bool] = {}

    @property
    def whole(self) -> bool:
        """Whether each partition has been read to its end once."""
        return not any(self._unread.values())

    def follow(self, places: Iterable[TopicPartition]) -> None:
        """Read these partitions too, each from its offset, where they are new."""
        new = [each for each in places if (each.topic, each.partition) not in self._unread]
        if new:
            self._consumer.incremental_assign(new)
            self._unread |= {(each.topic, each.partition): True for each in new}

    def new(self, seconds: float) -> Iterator[Message]:
        """Give the records that have come, for so long at most.

        Raises `RefusedError` where reading is refused. Any other trouble is waited out.
        """
        deadline = time.monotonic() + seconds
        refused = None
        while time.monotonic() < deadline and (found := self._consumer.consume(_BATCH, 0)):
            for message in found:
                if error := self._trouble(message):
                    refused = faults.refusal(error, "reading", self._rights(message)) or refused
                elif not message.error():
                    yield message
        if refused:
            raise refused

    def to_end(self) -> Iterator[Message]:
        """Give all records up to the end of each partition. Raises a `FaultError`."""
        heard = time.monotonic()
        while not self.whole:
            # To ask for a whole batch at once waits out the time where there are fewer.
            first = self._consumer.poll(_POLL_SECONDS)
            if first is None:
                if time.monotonic() - heard > _SILENT_SECONDS:
                    error = KafkaError(
                        KafkaError._TIMED_OUT, "the end of the topic was not reached"
                    )
                    raise faults.unavailable(error, self._connection.servers)
                continue
            heard = time.monotonic()
            for message in [first, *self._consumer.consume(_BATCH, 0)]:
                if trouble := self._trouble(message):
                    rights = self._rights(message)
                    with self._connection.asking(f"reading {message.topic()}", rights):
                        raise KafkaException(trouble)
                if not message.error():
                    yield message

    def close(self) -> None:
        """Stop reading."""
        self._consumer.close()

    def _trouble(self, message: Message) -> KafkaError | None:
        """Note the end of a partition; give any other error."""
        error = message.error()
        if error and error.code() == KafkaError._PARTITION_EOF:
            self._unread[message.topic(), message.partition()] = False
            return None
        return error

    def _rights(self, message: Message) -> faults.Rights:
        return faults.Rights(f"READ on topic {message.topic()}", f"READ on group {self._group}")
