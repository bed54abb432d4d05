"""The report: the rows of each type, the first and the last, and the broken records."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from domination.clickhouse import queries

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from domination.clickhouse.queries import Database


class Report(NamedTuple):
    """The rows of `shadow`, each counted once; a time is UTC, YYYY-MM-DD hh:mm:ss.mmm."""

    counts: dict[str, int]
    """Rows of each type by its name, the most frequent first."""
    ahead: int
    """Those of them from the future, which are neither the first nor the last."""
    first: str | None
    last: str | None
    broken: int
    """Records in `shadow_broken`."""

    @property
    def total(self) -> int:
        """Count the rows of all types."""
        return sum(self.counts.values())

    def share(self, name: str) -> float:
        """Give a type's share of the rows, 0 to 1."""
        return self.counts[name] / self.total if self.total else 0.0

    def lines(self) -> Iterator[str]:
        """Give the lines of a table for people."""
        width = max(len(f"{self.total:,}"), len("humans"))
        yield f"{'type':<12}  {'humans':>{width}}   share"
        for name, count in self.counts.items():
            yield f"{name:<12}  {count:>{width},}  {self.share(name):6.1%}"
        yield f"{'total':<12}  {self.total:>{width},}"
        yield f"first {self.first or '-'}, last {self.last or '-'} (UTC)"
        if self.ahead:
            yield f"from the future: {self.ahead:,} of them; a clock is wrong"
        yield f"broken records: {self.broken:,}"

    def json(self) -> dict[str, Any]:
        """Give an object for programs."""
        types = [
            {"type": name, "humans": count, "share": self.share(name)}
            for name, count in self.counts.items()
        ]
        return {
            "types": types,
            "total": self.total,
            "ahead": self.ahead,
            "first": self.first,
            "last": self.last,
            "broken": self.broken,
        }


def report(database: Database, wall: Callable[[], float] = time.time) -> Report:
    """Ask for the report."""
    found = queries.rows_by_type(database, int(wall()) + queries.AHEAD_SECONDS)
    counts = Counter(queries.no_counts())
    for each in found:
        counts[each.type] += each.rows
    dated = [each for each in found if not each.ahead]
    return Report(
        dict(counts.most_common()),
        counts.total() - sum(each.rows for each in dated),
        min((each.first for each in dated), default=None),
        max((each.last for each in dated), default=None),
        queries.broken(database),
    )
