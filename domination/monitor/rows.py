"""What ClickHouse has, asked while it grows: cheaply, again and again.

What only looks at the parts' own figures or at the newest rows is asked each time. What reads whole
tables, or minutes of one, is asked again after 20 times as long as the answers took, so that large
tables take no more than a twentieth of the server's time.
"""

from __future__ import annotations

import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from domination.monitor.rate import Rate
from domination.shadow import LABELS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from domination.clickhouse.schema import Database

MINUTES: Final = 5
BUCKET_SECONDS: Final = 5

_RATE_SECONDS: Final = 10.0
_SHARE: Final = 20
_LATEST: Final = 8
# Rows come a second after they were emitted, or two.
_LATE_SECONDS: Final = 3
# With more of them reading each once takes too long to be asked again and again.
_EXACT: Final = 10_000_000
_LONGEST_ID: Final = 64
# More often than that a row is hardly there before it is merged.
_COPIES: Final = 4


class Human(NamedTuple):
    """A judged human; the id is cut after 64 characters, the time is UTC."""

    unique_id: str
    type: str
    time: str


class Totals(NamedTuple):
    """What has to be counted."""

    counts: Mapping[str, int]
    """Rows of each type by its name."""
    exact: bool
    """Whether each row counts once; else one that was read again may count twice for a while."""
    broken: int
    """Rows of `shadow_broken`, each once."""
    at: float
    """When that was counted, in seconds since 1970."""
    over_time: tuple[tuple[int, Mapping[str, int]], ...]
    """Rows emitted in each span of `BUCKET_SECONDS`, by the second it begins with, since 1970."""


class Rows(NamedTuple):
    """The state of the tables."""

    rate: float | None
    """Rows stored a second."""
    rates: tuple[tuple[float, float], ...]
    """Moments and rates of the last minutes."""
    age: float | None
    """Seconds since the newest row was emitted."""
    latest: tuple[Human, ...]
    totals: Totals


class Tables:
    """Looks at the tables of one database."""

    def __init__(
        self, database: Database, clock: Callable[[], float] = time.time, exact: int = _EXACT
    ) -> None:
        self._database = database
        self._clock = clock
        self._exact = exact
        self._rate = Rate(_RATE_SECONDS, kept=MINUTES * 60)
        self._totals: Totals | None = None
        self._due = 0.0

    def look(self) -> Rows:
        """Ask for the state."""
        ((stored,),) = self._database.execute("SELECT count() FROM shadow")
        # Not the greatest of all: that of an empty table would be 1970.
        newest = latest(self._database, limit=_LATEST)
        now = self._clock()
        if self._totals is None or now >= self._due:
            self._totals = self._count(now, final=int(stored) <= self._exact)
            ended = self._clock()
            self._due = ended + _SHARE * (ended - now)
        return Rows(
            self._rate.add(now, int(stored)),
            tuple(self._rate.history),
            max(0.0, now - _seconds(newest[0].time)) if newest else None,
            newest,
            self._totals,
        )

    def _count(self, now: float, *, final: bool) -> Totals:
        ((broken,),) = self._database.execute("SELECT count() FROM shadow_broken FINAL")
        found = counts(self._database, "FINAL" if final else "")
        return Totals(found, final, int(broken), now, self._over_time(int(now)))

    def _over_time(self, now: int) -> tuple[tuple[int, Mapping[str, int]], ...]:
        end = (now - _LATE_SECONDS) // BUCKET_SECONDS * BUCKET_SECONDS
        first = end - MINUTES * 60
        found = {begin: dict.fromkeys(LABELS, 0) for begin in range(first, end, BUCKET_SECONDS)}
        # Without FINAL: by the beginning of the sorting key, a span of it.
        rows = self._database.execute(
            f"SELECT intDiv(toUnixTimestamp(emit_timestamp), {BUCKET_SECONDS}) AS span,"  # noqa: S608 - of numbers
            " toString(type), count() FROM shadow"
            f" WHERE emit_timestamp >= '{_text(first)}' AND emit_timestamp < '{_text(end)}'"
            " GROUP BY span, type"
        )
        for span, name, count in rows:
            found[int(span) * BUCKET_SECONDS][name] = int(count)
        return tuple(found.items())


def counts(database: Database, which: str) -> dict[str, int]:
    """Count the rows of each type; `which` is FINAL, a condition, or both."""
    query = f"SELECT toString(type), count() FROM shadow {which} GROUP BY type"  # noqa: S608 - ours
    rows = database.execute(query)
    return dict.fromkeys(LABELS, 0) | {name: int(count) for name, count in rows}


def latest(database: Database, which: str = "", limit: int = 5) -> tuple[Human, ...]:
    """Give the latest rows, each once."""
    key = "emit_timestamp DESC, kafka_partition DESC, kafka_offset DESC"
    rows: list[tuple[Any, ...]] = database.execute(
        f"SELECT substringUTF8(unique_id, 1, {_LONGEST_ID}), toString(type),"  # noqa: S608 - ours
        " toString(emit_timestamp) FROM"
        # By the end of the sorting key; to tell rows apart first would read all of them.
        f" (SELECT * FROM shadow {which} ORDER BY {key} LIMIT {_COPIES * limit})"
        f" ORDER BY {key} LIMIT 1 BY emit_timestamp, kafka_partition, kafka_offset LIMIT {limit}"
    )
    return tuple(Human(*row) for row in rows)


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=timezone.utc).timestamp()


def _text(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%d %H:%M:%S")
