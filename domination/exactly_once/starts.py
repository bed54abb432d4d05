"""Where a member of a group begins to read: the committed offsets, or the first there are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from confluent_kafka import KafkaException, TopicPartition

from domination.exactly_once.errors import LostOffsetsError, WentBackError
from domination.exactly_once.same_topic import SameTopic
from domination.kafka.cluster import Cluster
from domination.kafka.topic_id import KafkaTopicId

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterable, Mapping, Sequence

    from confluent_kafka import Consumer

    from domination.kafka.client import Connection

_FIRST_SECONDS: Final = 5.0


class Starts:
    """Finds the offsets to read on from, of one group on one topic, all through a worker's life.

    Committed offsets never go back while a worker lives. A coordinator that tells lower ones, or
    none, has not loaded all of them: Kafka 4.2 may answer too early after a broker has started.
    """

    def __init__(
        self,
        connection: Connection,
        group: str,
        read: str,
        written: Sequence[str],
        log: logging.Logger,
    ) -> None:
        self._connection = connection
        self._group = group
        self._read = read
        self._written = written
        self._log = log
        self.same = SameTopic(KafkaTopicId(connection, read), group, read)
        """Whether the topic is still the one that was read."""
        self._reached: dict[int, int] = {}
        """The highest committed offset of each partition that this worker has heard of."""
        self._started = False
        """Whether it is known that the group has offsets, or may start without."""

    def find(
        self, consumer: Consumer, partitions: Iterable[int], timeout: float
    ) -> tuple[list[TopicPartition], set[int]]:
        """Find where to read on, as numbers, and the partitions that have no offset committed.

        Never a logical offset (beginning, end): when librdkafka is told to go elsewhere while it
        looks one up, it goes there and half a second later to what it had looked up. The broker
        tells the committed offsets only once no transaction holds them back.

        Raises `KafkaException` or a `FaultError`: `WentBackError` where an offset has gone back,
        `MadeAgainError` where the topic is another one.
        """
        granted = sorted(partitions)
        if not granted:
            return [], set()
        self.same.require(timeout)
        places = self._ask(consumer, granted, timeout)
        new = [place for place in places if place.offset < 0]
        if new:
            self._begin(consumer, new, timeout)
        return places, {place.partition for place in new}

    def _ask(
        self, consumer: Consumer, partitions: Iterable[int], timeout: float
    ) -> list[TopicPartition]:
        """Ask for committed offsets, and hold them against what is known."""
        asked = [TopicPartition(self._read, number) for number in partitions]
        places = consumer.committed(asked, timeout=timeout)
        for place in places:
            if place.error:
                raise KafkaException(place.error)
        self.same.require_noted(places)
        self._require_no_way_back(places)
        self.committed({place.partition: place.offset for place in places if place.offset >= 0})
        return places

    def committed(self, offsets: Mapping[int, int]) -> None:
        """Note offsets that are the group's now."""
        for partition, offset in offsets.items():
            self._reached[partition] = max(offset, self._reached.get(partition, 0))

    def _require_no_way_back(self, places: Iterable[TopicPartition]) -> None:
        for place in places:
            reached = self._reached.get(place.partition, place.offset)
            if place.offset < reached:
                told = "none" if place.offset < 0 else f"{place.offset}"
                raise WentBackError(
                    f"group {self._group} had committed offset {reached} of {self._read}"
                    f"[{place.partition}], but Kafka now says {told}: it has not loaded the "
                    "group's offsets yet, or they were reset (then start the worker again)"
                )

    def _begin(self, consumer: Consumer, new: list[TopicPartition], timeout: float) -> None:
        """Let places without an offset be the first that there are."""
        # A coordinator that has loaded nothing is found out by what it tells of other partitions.
        if self._reached:
            self._ask(consumer, self._reached, timeout)
        # Over a connection of its own: on the consumer's the answer waits behind a fetch.
        cluster = Cluster(self._connection, _FIRST_SECONDS)
        fresh = self._require_first_start(consumer, cluster, timeout)
        first = cluster.first_offsets(new)
        if not fresh:
            numbers = sorted(place.partition for place in new)
            self._log.info("no offset committed for %s %s: reading all of it", self._read, numbers)
        for place in new:
            place.offset = first[place.partition]

    def _require_first_start(self, consumer: Consumer, cluster: Cluster, timeout: float) -> bool:
        """Tell whether nothing has ever been written.

        Raises `LostOffsetsError` where the group has lost all its offsets, instead of reading all
        again. A group commits first offsets before it writes its first record. So the topics are
        asked before the group: what is written by then has offsets.
        """
        if self._started:
            return False
        fresh = not cluster.ever_written(self._written)
        if not fresh:
            count = cluster.partitions({self._read: "READ"})[self._read]
            if all(place.offset < 0 for place in self._ask(consumer, range(count), timeout)):
                raise LostOffsetsError(self._group, self._read, self._written)
        self._started = True
        return fresh
