"""The state of the topics: how fast ratings come, how far the groups are behind, dead letters."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from confluent_kafka import TopicPartition

from domination import broker, dead_letter
from domination.group import Group
from domination.monitor.rate import charted_rate
from domination.tail import Tail

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from confluent_kafka import Message

    from domination.settings import Settings


class DeadLetterCounts(NamedTuple):
    """The dead letters that the monitor has read: all that were in the topic when it started."""

    reasons: Mapping[str, int]
    """Dead letters by reason, the most frequent first; those sent back are among them."""
    sent_back: int
    whole: bool
    """Whether the monitor has read all of them."""


class Topics(NamedTuple):
    """The state of the topics and of the two groups that read them."""

    rate: float | None
    """Ratings a second."""
    rates: tuple[tuple[float, float], ...]
    """Moments and rates of the last minutes."""
    lags: Mapping[str, Mapping[int, int]] | None
    """Offsets that a group has not committed, by partition, of `worker` and `clickhouse`.

    Transaction markers are among the offsets of the latter. None: the broker cannot tell.
    """
    dead_letters: DeadLetterCounts


class Cluster:
    """Looks at the topics of one cluster.

    `offsets`: whether the broker keeps what groups commit; a mock broker does not.
    """

    def __init__(
        self, settings: Settings, *, offsets: bool = True, clock: Callable[[], float] = time.time
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._admin = broker.Admin(settings)
        self._groups = _groups(settings) if offsets else {}
        self._tail = Tail(settings)
        self._rate = charted_rate()
        self._reasons: Counter[str] = Counter()
        self._sent_back = 0

    def look(self) -> Topics:
        """Ask for the state; raises `DominationError` where Kafka does not answer or refuses."""
        settings = self._settings
        partitions = self._admin.partitions(dict.fromkeys(settings.topics, "DESCRIBE"))
        broker.require_topics(partitions)
        ratings = self._ratings(partitions[settings.input_topic])
        rate = self._rate.add(self._clock(), ratings)
        return Topics(
            rate,
            tuple(self._rate.history),
            self._lags(partitions),
            self._dead_letters(partitions[settings.dead_letter_topic]),
        )

    def close(self) -> None:
        """Stop reading; not while another thread looks."""
        self._tail.close()
        for group, _ in self._groups.values():
            group.close()

    def _ratings(self, partitions: int) -> int:
        """Sum the ends of the input topic."""
        topic = self._settings.input_topic
        places = [TopicPartition(topic, n) for n in range(partitions)]
        with broker.told(self._settings, f"looking at topic {topic}"):
            return sum(self._admin.end_offsets(places).values())

    def _lags(self, partitions: Mapping[str, int]) -> dict[str, dict[int, int]] | None:
        lags = {
            which: group.lags(self._admin, topic, partitions[topic])
            for which, (group, topic) in self._groups.items()
        }
        return lags or None

    def _dead_letters(self, partitions: int) -> DeadLetterCounts:
        self._tail.follow(self._settings.dead_letter_topic, partitions)
        for message in self._tail.new():
            self._count(message)
        reasons = dict(self._reasons.most_common())
        return DeadLetterCounts(reasons, self._sent_back, self._tail.whole)

    def _count(self, message: Message) -> None:
        headers = dead_letter.original(message.headers) or []
        if letter := dead_letter.read(headers):
            self._reasons[letter.reason] += 1
        elif any(name == dead_letter.REPLAYED for name, _ in headers):
            self._sent_back += 1


def _groups(settings: Settings) -> dict[str, tuple[Group, str]]:
    """Give the groups that read, each with its topic."""
    return {
        "worker": (Group(settings, settings.group), settings.input_topic),
        "clickhouse": (Group(settings, settings.clickhouse_group), settings.output_topic),
    }
