"""How far a consumer group has come, asked by one that never joins it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from domination import broker
from domination.errors import DominationError, Exit
from domination.log import librdkafka

if TYPE_CHECKING:
    from domination.settings import Settings

_MANY: Final = 100


class Group:
    """Looks at what a consumer group has committed, each answer within `timeout` seconds.

    A consumer asks, not the admin client: that one's question crashes the process where the
    group's coordinator has moved or just starts (librdkafka issue 5040).
    """

    def __init__(self, settings: Settings, name: str, timeout: float = 5.0) -> None:
        self._settings = settings
        self._name = name
        self._timeout = timeout
        self._consumer = self._new()

    def lags(self, admin: broker.Admin, topic: str, partitions: int) -> dict[int, int]:
        """Count the records of a topic that it has not committed yet, by partition.

        More exactly, their offsets: the marks of transactions take some. Raises `DominationError`:
        77 where looking is refused, 69 where nobody answers.
        """
        places = [TopicPartition(topic, n) for n in range(partitions)]
        committed = self._committed(places)
        with broker.told(self._settings, f"looking at topic {topic}"):
            first, end = admin.first_offsets(places), admin.end_offsets(places)
        # Where nothing is committed, its offset is negative.
        return {n: end[n] - max(committed[n], first[n]) for n in end}

    def has_offsets(self, topic: str, partitions: int) -> bool:
        """Tell whether it has committed an offset of any partition of a topic.

        Raises `DominationError` as `lags` does.
        """
        places = [TopicPartition(topic, n) for n in range(partitions)]
        return any(offset >= 0 for offset in self._committed(places).values())

    def close(self) -> None:
        """Ask no more."""
        self._consumer.close()

    def _new(self) -> Consumer:
        own = {"group.id": self._name, "enable.auto.commit": False, "log_level": broker.CRITICAL}
        with broker.told(self._settings, "reading the settings"):
            return Consumer(broker.client_config(self._settings, own), logger=librdkafka)

    def _committed(self, places: list[TopicPartition]) -> dict[int, int]:
        try:
            found = self._consumer.committed(places, self._timeout)
        except KafkaException as exception:
            raise self._why(exception) from exception
        return {each.partition: each.offset for each in found}

    def _why(self, exception: KafkaException) -> DominationError:
        doing = f"looking at group {self._name}"
        # It only says that the time is over; why, it tells once, and one who reads.
        errors = [error for each in self._consumer.consume(_MANY, 0) if (error := each.error())]
        self._consumer.close()
        self._consumer = self._new()
        if any(error.code() == KafkaError.GROUP_AUTHORIZATION_FAILED for error in errors):
            right = broker.no_right(f"DESCRIBE on group {self._name}")
            return DominationError(Exit.REFUSED, f"refused while {doing}: {right}")
        return DominationError(
            Exit.UNAVAILABLE, f"no answer while {doing} ({exception.args[0].str()})"
        )
