"""What is stored: how many humans of each type, since when, and what was broken."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from domination.shadow import LABELS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from domination.clickhouse.schema import Database


class Report(NamedTuple):
    """The rows of `shadow`, each counted once; times are UTC, to the millisecond."""

    counts: dict[str, int]
    """Rows of each type by its name, the most frequent first."""
    first: str | None
    last: str | None
    broken: int
    """Records in `shadow_broken`."""

    @property
    def total(self) -> int:
        """All rows."""
        return sum(self.counts.values())

    def share(self, name: str) -> float:
        """Give the part of the rows that are of a type, 0 to 1."""
        return self.counts[name] / self.total if self.total else 0.0

    def lines(self) -> Iterator[str]:
        """Write it as a table for people."""
        width = max(len(f"{self.total:,}"), len("humans"))
        yield f"{'type':<12}  {'humans':>{width}}   share"
        for name, count in self.counts.items():
            yield f"{name:<12}  {count:>{width},}  {self.share(name):6.1%}"
        yield f"{'total':<12}  {self.total:>{width},}"
        yield f"first {self.first or '-'}, last {self.last or '-'} (UTC)"
        yield f"broken records: {self.broken:,}"

    def json(self) -> dict[str, Any]:
        """Write it for programs."""
        types = [
            {"type": name, "humans": count, "share": self.share(name)}
            for name, count in self.counts.items()
        ]
        return {
            "types": types,
            "total": self.total,
            "first": self.first,
            "last": self.last,
            "broken": self.broken,
        }


def report(database: Database) -> Report:
    """Ask for the report."""
    rows = database.execute(
        "SELECT toString(type), count(), toString(min(emit_timestamp)),"
        " toString(max(emit_timestamp)) FROM shadow FINAL GROUP BY type"
    )
    ((broken,),) = database.execute("SELECT count() FROM shadow_broken FINAL")
    counts = dict.fromkeys(LABELS, 0) | {name: int(count) for name, count, _, _ in rows}
    return Report(
        dict(sorted(counts.items(), key=lambda item: -item[1])),
        min((first for _, _, first, _ in rows), default=None),
        max((last for _, _, _, last in rows), default=None),
        int(broken),
    )
