"""A batch of records that the client does not decompress, since it would grow beyond a limit.

The client tells the offset of its first record, and tells it again whenever it is to read on from
a place within. So where the batch ends is found by trying.
"""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from domination.exactly_once.batch import Fault, Headers, Record, Records
from domination.kafka.faults import SettingError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from confluent_kafka import Consumer, Message

    from domination.exactly_once.ports import Place
    from domination.kafka.client import Connection

LIMIT: Final = "receive.message.max.bytes"
"""The property that bounds an answer, and a batch once it is decompressed with zstd."""
_SEARCH_SECONDS: Final = 5.0
"""Less than a transaction may be open."""
_CONFIG: Final = {
    "auto.offset.reset": "error",
    "enable.auto.commit": False,
    "enable.partition.eof": True,
    "isolation.level": "read_uncommitted",
    "fetch.wait.max.ms": 10,
    "fetch.error.backoff.ms": 1,
    # One batch an answer, and nothing ahead.
    "fetch.message.max.bytes": 1,
    "fetch.max.bytes": 1_000_000,
    "message.max.bytes": 1_000_000,
    "queued.min.messages": 1,
    "log_level": 2,
}
_BEYOND: Final = frozenset({KafkaError._PARTITION_EOF, KafkaError._AUTO_OFFSET_RESET})


class Unread(Records):
    """Records of one partition whose offsets alone are known."""

    fault = Fault(
        "batch_too_large",
        f"its batch cannot be decompressed: it does not fit into {LIMIT}, or is damaged",
    )

    def __init__(self, topic: str, partition: int, offsets: range) -> None:
        super().__init__(topic, [b""] * len(offsets))
        self.partition = partition
        self._offsets = offsets

    def __str__(self) -> str:
        """Say in the log which they are."""
        return (
            f"{self.topic} [{self.partition}]: offsets {self._offsets[0]} to {self._offsets[-1]} "
            "become dead letters: their batch cannot be decompressed, it does not fit into "
            f"{LIMIT} or is damaged"
        )

    @property
    def partitions(self) -> Sequence[int]:
        """The partition of each, the same for all."""
        return [self.partition] * len(self)

    @property
    def offsets(self) -> Sequence[int]:
        """The offset of each in its partition."""
        return self._offsets

    @property
    def headers(self) -> Sequence[Headers | None]:
        """None of each: what cannot be read is left out of a dead letter, which says so."""
        return [None] * len(self)

    def record(self, place: int) -> Record:
        """Give one record, without what is in it."""
        return Record(
            self.topic, self.partition, self._offsets[place], -1, None, self.values[place], None
        )


class Oversized:
    """The batches that one consumer, made with `config`, has not decompressed."""

    def __init__(
        self, connection: Connection, topic: str, group: str, config: Mapping[str, Any]
    ) -> None:
        self._connection = connection
        self._topic = topic
        self._group = group
        self._limit = config[LIMIT]
        self._noted: dict[int, int] = {}
        """The first offset of a batch, by partition."""
        self._ends: dict[tuple[int, int], int] = {}
        """Where the last batch that was looked at ends, by its partition and first offset."""

    def note(self, error: KafkaError, message: Message) -> bool:
        """Note the batch that a consumer's error tells of, if it does."""
        if error.code() != KafkaError._BAD_COMPRESSION:
            return False
        self._noted[message.partition() or 0] = message.offset() or 0
        return True

    def forget(self) -> None:
        """Forget what is noted: the consumer tells again where it still matters."""
        self._noted = {}

    @property
    def waits(self) -> bool:
        """Whether a batch is noted."""
        return bool(self._noted)

    def take(self, places: Mapping[int, int], most: int) -> Unread | None:
        """Give at most so many records of a batch, from the place in its partition on.

        None where its end cannot be found now. Each batch is given once for each time it is noted.
        """
        partition, first = self._noted.popitem()
        begin = max(first, places.get(partition, first))
        try:
            offsets = range(begin, min(self._end(partition, first), begin + most))
        except (KafkaException, TimeoutError):
            return None
        if partition in places and offsets:
            return Unread(self._topic, partition, offsets)
        self._ends = {}
        return None

    def _end(self, partition: int, first: int) -> int:
        if (partition, first) not in self._ends:
            place = TopicPartition(self._topic, partition, first)
            end = end_of_batch(self._connection, place, self._group, self._limit, _SEARCH_SECONDS)
            self._ends = {(partition, first): end}
        return self._ends[partition, first]


def require_answers(topic: str, places: Mapping[int, Place], error: KafkaError) -> None:
    """Raise `SettingError` where something is left to read, which an answer too large keeps back.

    `error` is what the client has said of the answer.
    """
    behind = [
        f"[{number}] at offset {place.read}"
        for number, place in sorted(places.items())
        if place.read != place.end
    ]
    if behind:
        text = f"a batch of {topic} {' or '.join(behind)} does not fit into {LIMIT}: {error.str()}"
        raise SettingError(text, [LIMIT])


def end_of_batch(
    connection: Connection, first: TopicPartition, group: str, limit: int, timeout: float
) -> int:
    """Find the offset behind the batch that begins at `first` and is larger than `limit` bytes.

    Raises `KafkaException`, `TimeoutError` or `SettingError`.
    """
    deadline = time.monotonic() + timeout
    config = {**_CONFIG, "group.id": group, LIMIT: limit}

    def inside(offset: int) -> bool:
        # Each time by a consumer of its own: one that is told to go elsewhere may sleep a second.
        with closing(connection.consumer({}, config)) as consumer:
            consumer.assign([TopicPartition(first.topic, first.partition, offset)])
            return _oversized_at(consumer, deadline) == first.offset

    within, width = first.offset, 1
    while inside(within + width):
        within, width = within + width, width * 2
    end = within + width
    while end - within > 1:
        middle = (within + end) // 2
        within, end = (middle, end) if inside(middle) else (within, middle)
    return end


def _oversized_at(consumer: Consumer, deadline: float) -> int | None:
    """Give where the oversized batch begins that a consumer meets first; None if it meets none."""
    while (message := consumer.poll(max(0.0, deadline - time.monotonic()))) is None:
        if time.monotonic() >= deadline:
            raise TimeoutError
    error = message.error()
    if error is None or error.code() in _BEYOND:
        return None
    if error.code() != KafkaError._BAD_COMPRESSION:
        raise KafkaException(error)
    return message.offset()
