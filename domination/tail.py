"""Topics, read from their first record on, each time as far as they go by then."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    Message,
    TopicPartition,
)

from domination import broker
from domination.log import librdkafka

if TYPE_CHECKING:
    from collections.abc import Iterator

    from domination.settings import Settings

_BATCH: Final = 5000
_READ_SECONDS: Final = 1.0


class Tail:
    """Reads topics from their first record on; it commits nothing and joins no group."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        own = {
            # A consumer needs a name. This one commits nothing and joins no group.
            "group.id": settings.group,
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
            "auto.offset.reset": "earliest",
            "queued.max.messages.kbytes": 8192,
        }
        with broker.told(settings, "reading the settings"):
            config = broker.client_config(settings, {}) | own
            self._consumer = Consumer(config, logger=librdkafka)
        self._unread: dict[tuple[str | None, int | None], bool] = {}

    @property
    def whole(self) -> bool:
        """Whether each partition has been read to its end once."""
        return not any(self._unread.values())

    def follow(self, topic: str, partitions: int) -> None:
        """Read the first `partitions` of a topic as well; those it already reads go on."""
        new = [n for n in range(partitions) if (topic, n) not in self._unread]
        if new:
            places = [TopicPartition(topic, n, OFFSET_BEGINNING) for n in new]
            self._consumer.incremental_assign(places)
            self._unread |= dict.fromkeys(((topic, n) for n in new), True)

    def new(self) -> Iterator[Message]:
        """Yield the records that have come, for a second at most.

        Raises `DominationError` (77) where Kafka refuses to let it read. It waits out other errors.
        """
        deadline = time.monotonic() + _READ_SECONDS
        refused = None
        while time.monotonic() < deadline and (found := self._consumer.consume(_BATCH, 0)):
            for message in found:
                error = message.error()
                if error is None:
                    yield message
                elif error.code() == KafkaError._PARTITION_EOF:
                    self._unread[message.topic(), message.partition()] = False
                else:
                    right = f"READ on topic {message.topic()}"
                    refused = broker.refusal(self._settings, error, "reading", right)
        if refused:
            raise refused

    def close(self) -> None:
        """Stop reading."""
        self._consumer.close()
