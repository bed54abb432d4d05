"""How far a consumer group has come, asked by one that never joins it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from domination.kafka import faults
from domination.kafka.client import CRITICAL

if TYPE_CHECKING:
    from confluent_kafka import Consumer

    from domination.kafka.client import Connection
    from domination.kafka.cluster import Cluster

_MANY: Final = 100


class Group:
    """Looks at what a consumer group has committed, each answer within `timeout` seconds.

    A consumer asks, not the admin client: that one's question crashes the process where the
    group's coordinator has moved or just starts (librdkafka issue 5040).
    """

    def __init__(self, connection: Connection, name: str, timeout: float = 5.0) -> None:
        self._connection = connection
        self._name = name
        self._timeout = timeout
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
        places = [TopicPartition(topic, n) for n in range(partitions)]
        return any(offset >= 0 for offset in self._committed(places).values())

    def close(self) -> None:
        """Ask no more."""
        self._consumer.close()

    def _new(self) -> Consumer:
        own = {
            "group.id": self._name,
            "enable.auto.commit": False,
            "log_level": CRITICAL,
            # It reads nothing; with more a small `receive.message.max.bytes` does not go together.
            "queued.max.messages.kbytes": 1024,
        }
        return self._connection.consumer({}, own)

    def _committed(self, places: list[TopicPartition]) -> dict[int, int]:
        try:
            found = self._consumer.committed(places, self._timeout)
        except KafkaException as exception:
            raise self._why(exception) from exception
        return {each.partition: each.offset for each in found}

    def _why(self, exception: KafkaException) -> faults.FaultError:
        doing = f"looking at group {self._name}"
        # It only says that the time is over; why, it tells once, and one who reads.
        errors = [error for each in self._consumer.consume(_MANY, 0) if (error := each.error())]
        self._consumer.close()
        self._consumer = self._new()
        if any(error.code() == KafkaError.GROUP_AUTHORIZATION_FAILED for error in errors):
            return faults.no_right(doing, f"DESCRIBE on group {self._name}")
        return faults.UnavailableError(f"no answer while {doing} ({exception.args[0].str()})")
