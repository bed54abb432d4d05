"""What Kafka has, asked while it grows: how fast ratings come, who is behind, and dead letters."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    Message,
    TopicPartition,
)

from domination import broker, dead_letter
from domination.group import Group
from domination.log import librdkafka
from domination.monitor.rate import Rate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from domination.settings import Settings

_BATCH: Final = 5000
_READ_SECONDS: Final = 1.0
_RATE_SECONDS: Final = 10.0
_KEPT: Final = 300


class DeadLetterCounts(NamedTuple):
    """The dead letters that were in the topic since it was first looked at."""

    reasons: Mapping[str, int]
    """How many by reason, the most frequent first, those sent back among them."""
    sent_back: int
    whole: bool
    """Whether they have all been read."""


class Topics(NamedTuple):
    """The state of the topics and of the two groups that read them."""

    rate: float | None
    """Ratings a second."""
    rates: tuple[tuple[float, float], ...]
    """Moments and rates of the last minutes."""
    lags: Mapping[str, Mapping[int, int]] | None
    """Offsets not committed, by partition: of the `worker` group, and of ClickHouse's, which
    transactions' own marks take some of. None: the broker cannot tell."""
    letters: DeadLetterCounts


class Tail:
    """Reads topics from their first record on, as far as they go whenever it is asked."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        own = {
            # It only gives the client a name: nothing is committed, and nobody joins.
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
        """Read these partitions too, where they are new."""
        new = [n for n in range(partitions) if (topic, n) not in self._unread]
        if new:
            places = [TopicPartition(topic, n, OFFSET_BEGINNING) for n in new]
            self._consumer.incremental_assign(places)
            self._unread |= dict.fromkeys(((topic, n) for n in new), True)

    def new(self) -> Iterator[Message]:
        """Give the records that have come, for a second at most.

        Raises `DominationError` (77) where reading is refused. Any other trouble is waited out.
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


class Cluster:
    """Looks at the topics of one cluster.

    `offsets`: whether it keeps what groups have committed; a mock broker does not.
    """

    def __init__(
        self, settings: Settings, *, offsets: bool = True, clock: Callable[[], float] = time.time
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._admin = broker.Admin(settings)
        self._groups = _groups(settings) if offsets else {}
        self._tail = Tail(settings)
        self._rate = Rate(_RATE_SECONDS, kept=_KEPT)
        self._reasons: Counter[str] = Counter()
        self._sent_back = 0

    def look(self) -> Topics:
        """Ask for the state; raises `DominationError` where Kafka does not answer or refuses."""
        settings = self._settings
        found = self._admin.partitions(dict.fromkeys(settings.topics, "DESCRIBE"))
        broker.require_topics(found)
        places = [
            TopicPartition(settings.input_topic, n) for n in range(found[settings.input_topic])
        ]
        with broker.told(settings, f"looking at topic {settings.input_topic}"):
            ends = self._admin.end_offsets(places)
        rate = self._rate.add(self._clock(), sum(ends.values()))
        return Topics(
            rate,
            tuple(self._rate.history),
            self._lags(found),
            self._letters(found[settings.dead_letter_topic]),
        )

    def close(self) -> None:
        """Stop reading; not while another thread looks."""
        self._tail.close()
        for group, _ in self._groups.values():
            group.close()

    def _lags(self, partitions: Mapping[str, int]) -> dict[str, dict[int, int]] | None:
        lags = {
            which: group.lags(self._admin, topic, partitions[topic])
            for which, (group, topic) in self._groups.items()
        }
        return lags or None

    def _letters(self, partitions: int) -> DeadLetterCounts:
        self._tail.follow(self._settings.dead_letter_topic, partitions)
        for message in self._tail.new():
            headers = dead_letter.original(message.headers) or []
            if letter := dead_letter.read(headers):
                self._reasons[letter.reason] += 1
            elif any(name == dead_letter.REPLAYED for name, _ in headers):
                self._sent_back += 1
        return DeadLetterCounts(
            dict(self._reasons.most_common()), self._sent_back, self._tail.whole
        )


def _groups(settings: Settings) -> dict[str, tuple[Group, str]]:
    """Give the groups that read, each with its topic."""
    return {
        "worker": (Group(settings, settings.group), settings.input_topic),
        "clickhouse": (Group(settings, settings.clickhouse_group), settings.output_topic),
    }
