"""The state of the topics: how fast ratings come, how far the groups are behind, dead letters."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, NamedTuple

from domination import connection
from domination.kafka.cluster import Cluster
from domination.kafka.group import Group
from domination.kafka.tail import Tail, from_first
from domination.letter import Letter, Mark, recognise
from domination.monitor.rate import charted_rate
from domination.ratings import Reason
from domination.reasons import ByReason, Reasons

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from domination.kafka.client import Connection
    from domination.settings import Settings

_READ_SECONDS: Final = 1.0


class DeadLetterCounts(NamedTuple):
    """The dead letters that the monitor has read: all that were in the topic when it started."""

    by_reason: ByReason
    """Those sent back are among them."""
    sent_back: int
    whole: bool
    """Whether the monitor has read all of them."""


class Lag(NamedTuple):
    """What a group has not committed yet, in offsets: transaction markers are among them."""

    total: int
    by_partition: Mapping[int, int]
    """Empty where only the total is known."""


class Lags(NamedTuple):
    """The lags of the two groups."""

    worker: Lag
    clickhouse: Lag


class Topics(NamedTuple):
    """The state of the topics and of the two groups that read them."""

    rate: float | None
    """Ratings a second."""
    rates: tuple[tuple[float, float], ...]
    """Moments and rates of the last minutes."""
    lags: Lags | None
    """None: not known yet."""
    dead_letters: DeadLetterCounts


class TopicsProbe:
    """Looks at the topics of one cluster.

    `lags` gives them where the broker does not keep what groups commit, as a mock broker.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        lags: Callable[[], Lags | None] | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._wall = wall
        self._connection = connection.of(settings)
        self._cluster = Cluster(self._connection)
        self._known_lags = lags
        self._groups = [] if lags else _groups(settings, self._connection)
        self._tail = Tail(self._connection, settings.group)
        self._rate = charted_rate()
        self._reasons = Reasons(map(str, Reason))
        self._sent_back = 0

    def look(self) -> Topics:
        """Ask for the state; raises a `FaultError` where Kafka does not answer or refuses."""
        settings = self._settings
        partitions = self._cluster.require(dict.fromkeys(settings.topics, "DESCRIBE"))
        ratings = self._ratings(partitions[settings.input_topic])
        now = self._clock()
        rate = self._rate.add(now, ratings)
        return Topics(
            rate,
            self._rate.dated(now, self._wall()),
            self._lags(partitions),
            self._dead_letters(partitions[settings.dead_letter_topic]),
        )

    def close(self) -> None:
        """Stop reading; not while another thread looks."""
        self._tail.close()
        for group, _ in self._groups:
            group.close()

    def _ratings(self, partitions: int) -> int:
        """Sum the ends of the input topic."""
        topic = self._settings.input_topic
        with self._cluster.asking(f"looking at topic {topic}"):
            return sum(self._cluster.end_offsets(from_first(topic, partitions)).values())

    def _lags(self, partitions: Mapping[str, int]) -> Lags | None:
        if self._known_lags:
            return self._known_lags()
        found = (
            group.lags(self._cluster, topic, partitions[topic]) for group, topic in self._groups
        )
        return Lags(*(Lag(sum(lags.values()), lags) for lags in found))

    def _dead_letters(self, partitions: int) -> DeadLetterCounts:
        topic = self._settings.dead_letter_topic
        self._tail.follow(from_first(topic, partitions))
        for message in self._tail.new(_READ_SECONDS):
            self._count(recognise(message))
        return DeadLetterCounts(self._reasons.counted(), self._sent_back, self._tail.whole)

    def _count(self, found: Letter | Mark | None) -> None:
        if isinstance(found, Letter):
            self._reasons.add(found.reason)
        elif isinstance(found, Mark):
            self._sent_back += 1


def _groups(settings: Settings, shared: Connection) -> list[tuple[Group, str]]:
    """Give the groups that read, each with its topic, in the order of `Lags`."""
    return [
        (Group(shared, settings.group), settings.input_topic),
        (Group(shared, settings.clickhouse_group), settings.output_topic),
    ]
