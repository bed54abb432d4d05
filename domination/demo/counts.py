"""What the demo counts of the system it runs: records in the topics, and rows."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

from domination import connection
from domination.clickhouse import queries
from domination.clickhouse.schema import STREAM
from domination.kafka.tail import Tail, from_first
from domination.monitor.rate import Rate
from domination.monitor.topics import Lag, Lags

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from domination.clickhouse.queries import Database, Human
    from domination.settings import Settings

_LOOK_SECONDS: Final = 0.5
_READ_SECONDS: Final = 1.0
_LATEST: Final = 5
# Rows come once a second: the mean of three.
_RATE_SECONDS: Final = 3.0


class Snapshot(NamedTuple):
    """The state of the whole system at one moment, counted from the start of the demo."""

    ratings: int
    shadows: int
    dead_letters: int
    rows: int
    counts: Mapping[str, int]
    """Rows of each type by its name."""
    latest: Sequence[Human]
    rate: float
    """Rows a second."""
    broken: Mapping[str, int]
    """Records in `shadow_broken` by reason."""

    @property
    def settled(self) -> bool:
        """Whether each rating is a row, a dead letter or a broken record."""
        return self.rows + self.dead_letters + sum(self.broken.values()) >= self.ratings

    def lags(self) -> Lags:
        """Give the ratings that are not judged yet, and the shadows that are not stored yet."""
        waiting = (
            self.ratings - self.shadows - self.dead_letters,
            self.shadows - self.rows - sum(self.broken.values()),
        )
        # Some come while others are counted.
        return Lags(*(Lag(max(0, count), {}) for count in waiting))

    def missing(self) -> str:
        """Say where the ratings are that are neither a row nor a dead letter."""
        broken = sum(self.broken.values())
        places = {
            f"in shadow_broken ({', '.join(self.broken)})": broken,
            "in the topic shadow but not in a table": self.shadows - self.rows - broken,
            "only in the topic dominate": self.ratings - self.shadows - self.dead_letters,
        }
        return ", ".join(f"{count:,} {place}" for place, count in places.items() if count > 0)

    def line(self) -> str:
        """Give the state as one line."""
        counts = ", ".join(f"{name} {count:,}" for name, count in self.counts.items())
        return (
            f"{self.ratings:,} ratings, {self.shadows:,} shadows, {self.rows:,} rows, "
            f"{self.dead_letters:,} dead letters, {self.rate:,.0f} rows/s: {counts}"
        )


class Tally:
    """Counts what comes into the topics, and the rows emitted, since it was made."""

    def __init__(
        self, settings: Settings, partitions: Mapping[str, int], database: Database
    ) -> None:
        self.last: Snapshot | None = None
        """What `look` gave last; other threads may read it."""
        self._database = database
        self._topics = settings.topics[1:]
        self._counts: Counter[str | None] = Counter()
        # It counts records, since transaction markers are among the offsets.
        self._tail = Tail(connection.of(settings), settings.group)
        for topic in self._topics:
            self._tail.follow(from_first(topic, partitions[topic]))
        self._since = queries.now(database)
        self._looked = time.monotonic()
        self._rate = Rate(_RATE_SECONDS)
        self._rate.add(self._looked, 0)

    def due(self) -> bool:
        """Tell whether it is time to look again."""
        return time.monotonic() - self._looked >= _LOOK_SECONDS

    def close(self) -> None:
        """Stop reading the topics."""
        self._tail.close()

    def look(self, ratings: int) -> Snapshot:
        """Count again; `ratings` have been sent by now."""
        self._counts.update(each.topic() for each in self._tail.new(_READ_SECONDS))
        shadows, dead_letters = (self._counts[topic] for topic in self._topics)
        counts = queries.counts(self._database, self._since)
        rows = sum(counts.values())
        self._looked = time.monotonic()
        rate = self._rate.add(self._looked, rows) or 0.0
        latest = queries.latest(self._database, _LATEST, self._since)
        broken = queries.broken_by_reason(self._database, self._since)
        self.last = Snapshot(ratings, shadows, dead_letters, rows, counts, latest, rate, broken)
        return self.last

    def why_not_stored(self) -> str:
        """Say why ClickHouse cannot store what it reads, a full disk say; empty if it can."""
        found = queries.consumers(self._database, STREAM)
        return next((each.error.partition("\n")[0] for each in found if each.failing), "")

    def each_once(self) -> bool:
        """Tell whether no human has two rows."""
        return queries.each_once(self._database, self._since)
