"""The state of the rows, asked again and again while they grow.

A look asks the cheap questions: the figures of the table's parts, and the newest rows. The others
read whole tables, or minutes of one. The next look asks them again only after 20 times as long as
ClickHouse took to answer, so that they take a twentieth of its time at most.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, NamedTuple

from domination.clickhouse import queries
from domination.monitor.rate import CHART_MINUTES, charted_rate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from domination.clickhouse.queries import Database, Human

BUCKET_SECONDS: Final = 5

_REST: Final = 20
_LATEST: Final = 8
# A row is visible a second or two after it was emitted.
_LATE_SECONDS: Final = 3
# To count more rows than this exactly takes too long to do it again and again.
_EXACT_ROWS: Final = 10_000_000


class Totals(NamedTuple):
    """The figures that ClickHouse has to count."""

    counts: Mapping[str, int]
    """Rows of each type by its name."""
    exact: bool
    """Whether each row counts once; otherwise a copy counts until ClickHouse has merged it."""
    broken: int
    """Rows of `shadow_broken`, each once."""
    ahead: int
    """Rows from the future."""
    over_time: tuple[tuple[int, Mapping[str, int]], ...]
    """Rows emitted in each span of `BUCKET_SECONDS`, by the second it begins with, since 1970."""


class Rows(NamedTuple):
    """The state of the tables."""

    rate: float | None
    """Rows stored a second."""
    rates: tuple[tuple[float, float], ...]
    """Moments and rates of the last minutes."""
    age: float | None
    """Seconds since the newest row was emitted; None where there is no row."""
    latest: tuple[Human, ...]
    """Neither this nor the age looks at rows from the future."""
    totals: Totals
    counted_ago: float
    """How long ago ClickHouse counted the totals, in seconds."""


class Tables:
    """Looks at the tables of one database."""

    def __init__(
        self,
        database: Database,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        exact: int = _EXACT_ROWS,
    ) -> None:
        self._database = database
        self._clock = clock
        self._wall = wall
        self._exact = exact
        self._rate = charted_rate()
        self._totals: Totals | None = None
        self._counted = self._due = 0.0

    def look(self) -> Rows:
        """Ask for the state."""
        stored = queries.stored(self._database)
        # Not max(emit_timestamp): that of an empty table would be 1970.
        ahead = int(self._wall()) + queries.AHEAD_SECONDS
        newest = queries.latest(self._database, _LATEST, before=ahead)
        now, seconds = self._clock(), self._wall()
        return Rows(
            self._rate.add(now, stored),
            self._rate.dated(now, seconds),
            max(0.0, seconds - newest[0].seconds) if newest else None,
            newest,
            self._totals_at(now, int(seconds), stored),
            now - self._counted,
        )

    def _totals_at(self, now: float, seconds: int, stored: int) -> Totals:
        """Count again if that is due."""
        if self._totals is None or now >= self._due:
            self._totals = self._count(seconds, exact=stored <= self._exact)
            self._counted, ended = now, self._clock()
            self._due = ended + _REST * (ended - now)
        return self._totals

    def _count(self, seconds: int, *, exact: bool) -> Totals:
        broken = queries.broken(self._database)
        counts = queries.counts(self._database, exact=exact)
        ahead = queries.emitted_from(self._database, seconds + queries.AHEAD_SECONDS)
        return Totals(counts, exact, broken, ahead, self._over_time(seconds))

    def _over_time(self, now: int) -> tuple[tuple[int, Mapping[str, int]], ...]:
        end = (now - _LATE_SECONDS) // BUCKET_SECONDS * BUCKET_SECONDS
        first = end - CHART_MINUTES * 60
        spans = {begin: queries.no_counts() for begin in range(first, end, BUCKET_SECONDS)}
        found = queries.counts_over_time(self._database, first, end, BUCKET_SECONDS)
        for begin, name, count in found:
            spans[begin][name] = count
        return tuple(spans.items())
