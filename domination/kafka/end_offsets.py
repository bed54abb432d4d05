"""How far the partitions of a topic can be read, asked without waiting for the answers."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from confluent_kafka import IsolationLevel, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import OffsetSpec

from domination.kafka.client import ASIDE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterable
    from concurrent.futures import Future

    from confluent_kafka.admin import AdminClient, ListOffsetsResultInfo

    from domination.kafka.client import Connection


def told_offset(answer: Future[ListOffsetsResultInfo]) -> int:
    """Give an offset that was asked for; raises `KafkaException`.

    Of a leader that does not answer the client tells only by an offset that there is not.
    """
    offset: int = answer.result().offset
    if offset < 0:
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT, "no answer of the leader"))
    return offset


class KafkaEndOffsets:
    """Asks for the ends of a topic's partitions, aborted and open transactions left out.

    Over connections of its own, made with the first question and kept: an answer on a consumer's
    connection waits behind a fetch.
    """

    def __init__(self, connection: Connection, topic: str) -> None:
        self._connection = connection
        self._topic = topic
        self._admin: AdminClient | None = None
        self._asked: dict[TopicPartition, Future[ListOffsetsResultInfo]] = {}

    @property
    def _client(self) -> AdminClient:
        if self._admin is None:
            self._admin = self._connection.admin_aside()
        return self._admin

    def ask(self, partitions: Iterable[int]) -> None:
        """Ask, unless an answer is still to come."""
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]  # theirs
        places = {TopicPartition(self._topic, each): latest for each in partitions}
        if places and not self._asked:
            self._client.poll(0)
            self._asked = self._client.list_offsets(
                places, isolation_level=IsolationLevel.READ_COMMITTED, request_timeout=ASIDE_SECONDS
            )

    def answers(self) -> dict[int, int]:
        """Give what has been answered since the last time: no record of a partition is beyond."""
        if not all(future.done() for future in self._asked.values()):
            return {}
        asked, self._asked = self._asked, {}
        answers: dict[int, int] = {}
        for place, each in asked.items():
            with suppress(KafkaException):
                answers[place.partition] = told_offset(each)
        return answers

    def reach(self, timeout: float) -> bool:
        """Ask for a sign of life, and wait for it."""
        try:
            self._client.list_topics(self._topic, timeout=timeout)
        except KafkaException:
            return False
        return True
