"""What the demo sees of the system it runs: the topics as they grow, and the rows."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

from domination.monitor.rate import Rate
from domination.monitor.rows import counts, latest
from domination.monitor.topics import Tail

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from domination.clickhouse.schema import Database
    from domination.monitor.rows import Human
    from domination.settings import Settings

_LOOK_SECONDS: Final = 0.5
_RATE_SECONDS: Final = 3.0
"""The rate is the mean of so many: rows come once a second."""


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

    def line(self) -> str:
        """Write it as one line."""
        counts = ", ".join(f"{name} {count:,}" for name, count in self.counts.items())
        return (
            f"{self.ratings:,} ratings, {self.shadows:,} shadows, {self.rows:,} rows, "
            f"{self.dead_letters:,} dead letters, {self.rate:,.0f} rows/s: {counts}"
        )


class Tally:
    """Looks at the topics and at the rows stamped since it was made."""

    def __init__(
        self, settings: Settings, partitions: Mapping[str, int], clickhouse: Database
    ) -> None:
        self._clickhouse = clickhouse
        self._topics = settings.topics[1:]
        self._seen: Counter[str | None] = Counter()
        # Offsets would not do: the transactions' own marks are among them.
        self._tail = Tail(settings)
        for topic in self._topics:
            self._tail.follow(topic, partitions[topic])
        ((now,),) = clickhouse.execute("SELECT toString(now64(3, 'UTC'))")
        self._ours = f"FINAL WHERE emit_timestamp >= '{now}'"
        self._looked = time.monotonic()
        self._rate = Rate(_RATE_SECONDS)
        self._rate.add(self._looked, 0)

    def due(self) -> bool:
        """Tell whether it is time to look again."""
        return time.monotonic() - self._looked >= _LOOK_SECONDS

    def close(self) -> None:
        """Stop looking."""
        self._tail.close()

    def look(self, ratings: int) -> Snapshot:
        """Look at everything, `ratings` having been sent."""
        self._seen.update(each.topic() for each in self._tail.new())
        shadows, dead_letters = (self._seen[topic] for topic in self._topics)
        found = counts(self._clickhouse, self._ours)
        rows = sum(found.values())
        self._looked = time.monotonic()
        rate = self._rate.add(self._looked, rows) or 0.0
        newest = latest(self._clickhouse, self._ours)
        return Snapshot(ratings, shadows, dead_letters, rows, found, newest, rate)

    def each_once(self) -> bool:
        """Tell whether no human has two rows."""
        query = f"SELECT count(), uniqExact(unique_id) FROM shadow {self._ours}"  # noqa: S608 - ours
        ((rows, humans),) = self._clickhouse.execute(query)
        return bool(rows == humans)
