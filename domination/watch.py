"""What the demo sees of the system it runs: the topics as they grow, and the rows."""

from __future__ import annotations

import time
from collections import Counter, deque
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from confluent_kafka import Consumer, TopicPartition

from domination.shadow import LABELS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from domination.schema import Database
    from domination.settings import Settings

_LOOK_SECONDS: Final = 0.5
_LOOKS: Final = 6
"""The rate is that of so many looks: rows come once a second."""


class Snapshot(NamedTuple):
    """The state of the whole system at one moment, counted from the start of the demo."""

    ratings: int
    shadows: int
    dead_letters: int
    rows: int
    counts: Mapping[str, int]
    """Rows of each type by its name."""
    latest: list[tuple[str, str, str]]
    """The latest rows: unique id, type, time."""
    rate: float
    """Rows a second."""

    def line(self) -> str:
        """Write it as one line."""
        counts = ", ".join(f"{name} {count:,}" for name, count in self.counts.items())
        return (
            f"{self.ratings:,} ratings, {self.shadows:,} shadows, {self.rows:,} rows, "
            f"{self.dead_letters:,} dead letters, {self.rate:,.0f} rows/s: {counts}"
        )


class Watch:
    """Looks at the topics and at the rows stamped since it was made."""

    def __init__(
        self, settings: Settings, partitions: Mapping[str, int], clickhouse: Database
    ) -> None:
        self._clickhouse = clickhouse
        self._topics = settings.topics[1:]
        self._seen: Counter[str | None] = Counter()
        # Offsets would not do: the transactions' own marks are among them.
        self._consumer = Consumer(
            {"bootstrap.servers": settings.bootstrap_servers, "group.id": "watch", "log_level": 0}
        )
        self._consumer.assign(
            [
                TopicPartition(topic, n, 0)
                for topic in self._topics
                for n in range(partitions[topic])
            ]
        )
        ((now,),) = self._ask("SELECT toString(now64(3, 'UTC'))")
        self._ours = f"FROM shadow FINAL WHERE emit_timestamp >= '{now}'"
        self._looks: deque[tuple[float, int]] = deque([(time.monotonic(), 0)], maxlen=_LOOKS)

    def due(self) -> bool:
        """Tell whether it is time to look again."""
        return time.monotonic() - self._looks[-1][0] >= _LOOK_SECONDS

    def close(self) -> None:
        """Stop looking."""
        self._consumer.close()

    def look(self, ratings: int) -> Snapshot:
        """Look at everything, `ratings` having been sent."""
        while messages := self._consumer.consume(5000, 0):
            self._seen.update(each.topic() for each in messages if each.error() is None)
        shadows, dead_letters = (self._seen[topic] for topic in self._topics)
        counts = dict.fromkeys(LABELS, 0)
        counts |= dict(self._ask(f"SELECT toString(type), count() {self._ours} GROUP BY type"))
        rows = sum(counts.values())
        since, before = self._looks[0]
        self._looks.append((time.monotonic(), rows))
        rate = (rows - before) / (self._looks[-1][0] - since)
        return Snapshot(ratings, shadows, dead_letters, rows, counts, self._latest(), rate)

    def each_once(self) -> bool:
        """Tell whether no human has two rows."""
        ((rows, humans),) = self._ask(f"SELECT count(), uniqExact(unique_id) {self._ours}")
        return bool(rows == humans)

    def _latest(self) -> list[tuple[Any, ...]]:
        return self._ask(
            f"SELECT unique_id, toString(type), toString(emit_timestamp) {self._ours}"
            " ORDER BY emit_timestamp DESC, kafka_partition, kafka_offset DESC LIMIT 5"
        )

    def _ask(self, query: str) -> list[tuple[Any, ...]]:
        return self._clickhouse.execute(query)
