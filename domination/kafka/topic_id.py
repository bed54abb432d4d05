"""Which topic has a name: Kafka gives each an id, and to one that is created again another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from confluent_kafka import KafkaException, TopicCollection, Uuid

from domination.kafka.client import ASIDE_SECONDS

if TYPE_CHECKING:
    from concurrent.futures import Future

    from confluent_kafka.admin import AdminClient, TopicDescription

    from domination.kafka.client import Connection

_NONE: Final = str(Uuid(0, 0))


class KafkaTopicId:
    """Asks for the id of the topic that has a name now; it is empty where Kafka gives none.

    Over a connection of its own, made with the first question and kept: an answer on a consumer's
    connection waits behind a fetch. The client asks the controller only; where that one does not
    answer, a new client finds out which broker it is.
    """

    def __init__(self, connection: Connection, topic: str) -> None:
        self._connection = connection
        self._topic = topic
        self._admin: AdminClient | None = None
        self._asked: Future[TopicDescription] | None = None

    def told(self, timeout: float) -> str:
        """Ask, and wait for the answer. Raises `KafkaException`."""
        try:
            if not self._names_a_controller(timeout):
                return ""
            return _id(self._ask(timeout).result())
        except KafkaException:
            self._forget()
            raise

    def ask(self) -> None:
        """Ask, unless an answer is still to come."""
        self._asked = self._asked or self._ask(ASIDE_SECONDS)

    def answer(self) -> str:
        """Give what has been answered since the last time; empty where that is nothing."""
        if self._asked is None or not self._asked.done():
            return ""
        asked, self._asked = self._asked, None
        try:
            return _id(asked.result())
        except KafkaException:
            self._forget()
            return ""

    def _forget(self) -> None:
        # What a client that is gone was asked is never answered.
        self._admin = self._asked = None

    def _names_a_controller(self, timeout: float) -> bool:
        """Tell whether there is a broker to ask; librdkafka's mock names one that is not there.

        So the client learns too which broker that is now.
        """
        metadata = self._client.list_topics(self._topic, timeout=timeout)
        return metadata.controller_id in metadata.brokers

    @property
    def _client(self) -> AdminClient:
        if self._admin is None:
            self._admin = self._connection.admin_aside()
        return self._admin

    def _ask(self, timeout: float) -> Future[TopicDescription]:
        client = self._client
        client.poll(0)
        asked: dict[str, Future[TopicDescription]] = client.describe_topics(
            TopicCollection([self._topic]), request_timeout=timeout
        )
        return asked[self._topic]


def _id(topic: TopicDescription) -> str:
    told = str(topic.topic_id)
    return "" if told == _NONE else told
