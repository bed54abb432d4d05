"""How far a consumer group has come, asked or changed by one that never joins it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from domination.kafka import faults
from domination.kafka.client import CRITICAL
from domination.kafka.deadline import within

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from confluent_kafka import Consumer

    from domination.kafka.client import Connection
    from domination.kafka.cluster import Cluster

_MANY: Final = 100
_WHY_SECONDS: Final = 10.0
"""How long an answer may take that only tells why there is no other."""
_AGAIN_SECONDS: Final = 0.1
_UNREADY: Final = frozenset(
    {
        KafkaError.NOT_COORDINATOR,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    }
)
"""What is said of a group whose coordinator has moved, or just starts as in a new cluster."""


class Group:
    """Looks at what a consumer group has committed, each answer within `timeout` seconds.

    A consumer asks, not the admin client: that one's question crashes the process where the
    group's coordinator has moved or just starts (librdkafka issue 5040).

    An answer waits until no open transaction has offsets of the group, unless `settled` is false.
    """

    def __init__(
        self, connection: Connection, name: str, timeout: float = 5.0, *, settled: bool = True
    ) -> None:
        self._connection = connection
        self._name = name
        self._timeout = timeout
        self._isolation = "read_committed" if settled else "read_uncommitted"
        self._consumer = self._new()

    def lags(self, cluster: Cluster, topic: str, partitions: int) -> dict[int, int]:
        """Count the records of a topic that it has not committed yet, by partition.

        More exactly, their offsets: the marks of transactions take some. Raises `RefusedError`
        where looking is refused, `UnavailableError` where nobody answers.
        """
        places = [TopicPartition(topic, n) for n in range(partitions)]
        committed = self._committed(places)
        with cluster.asking(f"looking at topic {topic}"):
            first, end = cluster.first_offsets(places), cluster.end_offsets(places)
        # Where nothing is committed, its offset is negative.
        return {n: end[n] - max(committed[n], first[n]) for n in end}

    def has_offsets(self, topic: str, partitions: int) -> bool:
        """Tell whether it has committed an offset of any partition of a topic.

        Raises as `lags` does.
        """
        found = self.committed(topic, range(partitions))
        return any(offset is not None for offset in found.values())

    def committed(self, topic: str, partitions: Iterable[int]) -> dict[int, int | None]:
        """Give what it has committed of each partition of a topic, or None. Raises as `lags` does.

        Raises `UnsettledError` where a transaction that stays open has offsets of the group.
        """
        places = [TopicPartition(topic, number) for number in partitions]
        try:
            found = self._committed(places)
        except faults.UnavailableError as error:
            if self._is_unsettled(places):
                raise faults.UnsettledError(self._name, self._timeout) from error
            raise
        return {partition: None if each < 0 else each for partition, each in found.items()}

    def since(
        self, topic: str, partitions: Iterable[int], milliseconds: int
    ) -> dict[int, int | None]:
        """Find the first record of each partition that is not older; None where there is none.

        A time is in milliseconds since 1970. Raises a `FaultError`.
        """
        places = [TopicPartition(topic, number, milliseconds) for number in partitions]
        rights = faults.Rights(f"DESCRIBE on topic {topic}")
        with self._connection.asking(f"looking for a time in topic {topic}", rights):
            found = self._consumer.offsets_for_times(places, timeout=self._timeout)
            _require_answers(found)
        return {each.partition: None if each.offset < 0 else each.offset for each in found}

    def move(self, topic: str, offsets: Mapping[int, int]) -> None:
        """Commit other offsets of a topic for it, all in one request.

        Raises `MembersError` where it has members: Kafka itself looks. Raises a `FaultError` else.
        """
        places = [TopicPartition(topic, *each) for each in offsets.items()]
        doing = f"moving group {self._name}"
        rights = faults.Rights(f"READ on topic {topic}", f"READ on group {self._name}")
        try:
            with self._connection.asking(doing, rights):
                within(self._timeout, lambda: self._commit(places))
        except TimeoutError as error:
            raise faults.UnavailableError(f"no answer while {doing}: it may have moved") from error

    def close(self) -> None:
        """Ask no more."""
        self._consumer.close()

    def _new(self) -> Consumer:
        own = {
            "group.id": self._name,
            "enable.auto.commit": False,
            "isolation.level": self._isolation,
            "log_level": CRITICAL,
            # It reads nothing; with more a small `receive.message.max.bytes` does not go together.
            "queued.max.messages.kbytes": 1024,
        }
        return self._connection.consumer({}, own)

    def _committed(self, places: list[TopicPartition]) -> dict[int, int]:
        try:
            found = self._told(places)
        except KafkaException as exception:
            raise self._why(exception) from exception
        rights = faults.Rights(f"DESCRIBE on topic {places[0].topic}")
        with self._connection.asking(f"looking at group {self._name}", rights):
            _require_answers(found)
        return {each.partition: each.offset for each in found}

    def _told(self, places: list[TopicPartition]) -> list[TopicPartition]:
        """Ask until a coordinator is ready to tell."""
        deadline = time.monotonic() + self._timeout
        while True:
            left = max(deadline - time.monotonic(), _AGAIN_SECONDS)
            try:
                return self._consumer.committed(places, left)
            except KafkaException as exception:
                if exception.args[0].code() not in _UNREADY or time.monotonic() >= deadline:
                    raise
            time.sleep(_AGAIN_SECONDS)

    def _is_unsettled(self, places: list[TopicPartition]) -> bool:
        """Tell whether a question that no transaction holds up is answered."""
        other = Group(self._connection, self._name, _WHY_SECONDS, settled=False)
        try:
            other._committed(places)
        except faults.FaultError:
            return False
        finally:
            other.close()
        return True

    def _commit(self, places: list[TopicPartition]) -> None:
        try:
            told = self._consumer.commit(offsets=places, asynchronous=False)
        except KafkaException as exception:
            if exception.args[0].code() == KafkaError.UNKNOWN_MEMBER_ID:
                raise faults.MembersError(self._name) from exception
            raise
        _require_answers(told or ())

    def _why(self, exception: KafkaException) -> faults.FaultError:
        doing = f"looking at group {self._name}"
        # It only says that the time is over; why, it tells once, and one who reads.
        errors = [error for each in self._consumer.consume(_MANY, 0) if (error := each.error())]
        self._consumer.close()
        self._consumer = self._new()
        if any(error.code() == KafkaError.GROUP_AUTHORIZATION_FAILED for error in errors):
            return faults.no_right(doing, f"DESCRIBE on group {self._name}")
        return faults.UnavailableError(f"no answer while {doing} ({exception.args[0].str()})")


def _require_answers(places: Iterable[TopicPartition]) -> None:
    """Raise `KafkaException` where a partition has an error in place of an answer."""
    for each in places:
        if each.error:
            raise KafkaException(each.error)
