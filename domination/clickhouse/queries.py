"""Every question that the program asks ClickHouse: a function each, and all their SQL.

`schema.py` has the statements that make and drop tables.
"""

from __future__ import annotations

import json
import re
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from domination.shadow import LABELS

if TYPE_CHECKING:
    from collections.abc import Iterator

RECENT_SECONDS: Final = 60
"""What a consumer of ClickHouse did before that says nothing of its state now."""
AHEAD_SECONDS: Final = 5
"""A row that was emitted so much later than now, or more, is from the future: a clock is wrong."""

_LONGEST_ID: Final = 64
# ClickHouse merges the copies of a row before there are more of them.
_COPIES: Final = 4
_TRACE: Final = re.compile(r"[,.]\s*Stack trace.*", re.DOTALL)
_KEY: Final = ("emit_timestamp", "kafka_partition", "kafka_offset", "record_hash")
_NEWEST_FIRST: Final = ", ".join(f"{column} DESC" for column in _KEY)


class Database(Protocol):
    """A ClickHouse: a server, or one embedded in this process."""

    def execute(self, query: str) -> list[tuple[Any, ...]]:
        """Run one statement in the database of the settings; give its rows."""


class Human(NamedTuple):
    """A judged human; the id is cut after 64 characters."""

    unique_id: str
    type: str
    emitted: str
    """When the shadow was emitted, in UTC: YYYY-MM-DD hh:mm:ss.mmm."""

    @property
    def seconds(self) -> float:
        """When the shadow was emitted, in seconds since 1970."""
        return datetime.fromisoformat(self.emitted).replace(tzinfo=timezone.utc).timestamp()

    @property
    def time_of_day(self) -> str:
        """When the shadow was emitted, in UTC: hh:mm:ss.mmm."""
        return self.emitted.partition(" ")[2]


class TypeRows(NamedTuple):
    """The rows of one type, and the times of the first and the last one as in `Human.emitted`."""

    type: str
    ahead: bool
    """Whether they are those from the future, or the others."""
    rows: int
    first: str
    last: str


class HumansRows(NamedTuple):
    """How many rows there are of one human, each counted once."""

    shadow: int
    broken: int
    """Rows of `shadow_broken` whose record is an object with this `unique_id`."""
    mentions: int
    """Other rows of `shadow_broken` whose record has the text of this id somewhere."""


class Consumer(NamedTuple):
    """One of the consumers with which ClickHouse reads a topic."""

    assigned: bool
    """Whether it has a partition."""
    polling: bool
    """Whether it asked Kafka for records in the last `RECENT_SECONDS`."""
    failing: bool
    """Whether its last error is not older than that."""
    error: str
    """Its last error without where in ClickHouse it was; empty where it had none."""


def version(database: Database) -> str:
    """Ask for ClickHouse's version."""
    return str(_value(database, "SELECT version()"))


def server_setting(database: Database, name: str) -> str | None:
    """Ask for a setting of the server; None where it has no setting of this name."""
    rows = database.execute(
        f"SELECT value FROM system.server_settings WHERE name = {literal(name)}"
    )
    return str(rows[0][0]) if rows else None


def user_setting(database: Database, name: str) -> str | None:
    """Ask for a setting as it holds for who asks; None where there is none of this name."""
    rows = database.execute(f"SELECT value FROM system.settings WHERE name = {literal(name)}")
    return str(rows[0][0]) if rows else None


def now(database: Database) -> str:
    """Ask for ClickHouse's time, in the form of `Human.emitted`."""
    return str(_value(database, "SELECT toString(now64(3, 'UTC'))"))


def tables(database: Database) -> dict[str, str]:
    """Give the tables and views that there are, each with its engine."""
    query = "SELECT name, engine_full FROM system.tables WHERE database = currentDatabase()"
    return dict(database.execute(query))


def engine(database: Database, statement: str) -> str:
    """Give the engine in a CREATE statement as `tables` would show it."""
    line = str(_value(database, f"SELECT formatQuerySingleLine({literal(statement)})"))
    return line.partition(" ENGINE = ")[2]


def consumers(database: Database, table: str) -> list[Consumer]:
    """Give the consumers of a table of the Kafka engine."""
    rows = database.execute(
        "SELECT notEmpty(assignments.partition_id),"
        f" last_poll_time > now() - {RECENT_SECONDS},"
        f" exceptions.time[-1] > now() - {RECENT_SECONDS},"
        " exceptions.text[-1] FROM system.kafka_consumers"
        f" WHERE database = currentDatabase() AND table = {literal(table)}"
    )
    return [Consumer(*row)._replace(error=_TRACE.sub("", row[-1])) for row in rows]


def stored(database: Database) -> int:
    """Count the rows of `shadow` by the figures of its parts: copies count, nothing is read."""
    return int(_value(database, "SELECT count() FROM shadow"))


def broken(database: Database) -> int:
    """Count the rows of `shadow_broken`, each once."""
    return int(_value(database, "SELECT count() FROM shadow_broken FINAL"))


def broken_by_reason(database: Database, since: str) -> dict[str, int]:
    """Count the records in `shadow_broken` with a timestamp since a time, by reason, each once."""
    rows = database.execute(
        "SELECT error, count() FROM shadow_broken FINAL"
        f" WHERE kafka_timestamp >= {literal(since)} GROUP BY error ORDER BY error"
    )
    return {str(reason): int(count) for reason, count in rows}


def counts(database: Database, since: str | None = None, *, exact: bool = True) -> dict[str, int]:
    """Count the rows of each type, those emitted `since` a time or all.

    `exact`: each row counts once. Otherwise a copy counts until ClickHouse has merged it.
    """
    table = "shadow FINAL" if exact else "shadow"
    rows = database.execute(
        f"SELECT toString(type), count() FROM {table}{_emitted(since)} GROUP BY type"
    )
    return no_counts() | {name: int(count) for name, count in rows}


def no_counts() -> dict[str, int]:
    """Give the counts of an empty table."""
    return dict.fromkeys(LABELS, 0)


def counts_over_time(
    database: Database, begin: int, end: int, step: int
) -> Iterator[tuple[int, str, int]]:
    """Count the rows emitted from `begin` to `end`, in seconds since 1970, by span and type.

    Yield the second a span of `step` seconds begins with, a type, and its rows. Copies count: it
    reads without FINAL, by the beginning of the sorting key.
    """
    rows = database.execute(
        f"SELECT intDiv(toUnixTimestamp(emit_timestamp), {step}) AS span, toString(type), count()"
        f" FROM shadow WHERE emit_timestamp >= {_moment(begin)} AND emit_timestamp < {_moment(end)}"
        " GROUP BY span, type"
    )
    for span, name, count in rows:
        yield int(span) * step, name, int(count)


def emitted_from(database: Database, moment: int) -> int:
    """Count the rows emitted from a moment on, in seconds since 1970; copies count."""
    query = f"SELECT count() FROM shadow WHERE emit_timestamp >= {_moment(moment)}"
    return int(_value(database, query))


def latest(
    database: Database, limit: int, since: str | None = None, before: int | None = None
) -> tuple[Human, ...]:
    """Give the latest rows, each once, those emitted `since` a time or of all.

    `before`: only those emitted before a moment, in seconds since 1970.
    """
    emitted = _emitted(since, before)
    # The inner query reads the end of the sorting key; LIMIT BY alone would read the whole table.
    newest = f"SELECT * FROM shadow{emitted} ORDER BY {_NEWEST_FIRST} LIMIT {_COPIES * limit}"
    rows = database.execute(
        f"SELECT substringUTF8(unique_id, 1, {_LONGEST_ID}), toString(type),"
        f" toString(emit_timestamp) FROM ({newest}) ORDER BY {_NEWEST_FIRST}"
        f" LIMIT 1 BY {', '.join(_KEY)} LIMIT {limit}"
    )
    return tuple(Human(*row) for row in rows)


def rows_by_type(database: Database, future: int) -> list[TypeRows]:
    """Count the rows of each type that has some, each row once, and give their first and last.

    Those emitted from `future` on, in seconds since 1970, are told apart.
    """
    rows = database.execute(
        f"SELECT toString(type), emit_timestamp >= {_moment(future)} AS ahead, count(),"
        " toString(min(emit_timestamp)), toString(max(emit_timestamp))"
        " FROM shadow FINAL GROUP BY type, ahead"
    )
    return [
        TypeRows(name, bool(ahead), int(count), first, last)
        for name, ahead, count, first, last in rows
    ]


def each_once(database: Database, since: str) -> bool:
    """Tell whether no two rows emitted since a time are of one human."""
    query = f"SELECT count() = uniqExact(unique_id) FROM shadow FINAL{_emitted(since)}"
    return bool(_value(database, query))


def humans_rows(database: Database, unique_id: str) -> HumansRows:
    """Count the rows of a human."""
    written = (
        unique_id,
        json.dumps(unique_id)[1:-1],
        json.dumps(unique_id, ensure_ascii=False)[1:-1],
    )
    texts = ", ".join(map(literal, dict.fromkeys(written)))
    shadow = _value(database, f"SELECT count() FROM shadow FINAL WHERE {_shadow_of(unique_id)}")
    ((broken, mentions),) = database.execute(
        f"SELECT countIf(mine), countIf(NOT mine) FROM (SELECT {_broken_of(unique_id)} AS mine"
        f" FROM shadow_broken FINAL WHERE mine OR multiSearchAny(raw, [{texts}]))"
    )
    return HumansRows(int(shadow), int(broken), int(mentions))


def delete_human(database: Database, unique_id: str) -> None:
    """Delete the rows of a human from all parts; returns when that is done, on each replica."""
    for table, which in (
        ("shadow", _shadow_of(unique_id)),
        ("shadow_broken", _broken_of(unique_id)),
    ):
        database.execute(f"ALTER TABLE {table} DELETE WHERE {which} SETTINGS mutations_sync = 2")


def _shadow_of(unique_id: str) -> str:
    return f"unique_id = {literal(unique_id)}"


def _broken_of(unique_id: str) -> str:
    # Empty where the record is not one JSON object.
    return f"JSONExtractString(raw, 'unique_id') = {literal(unique_id)}"


def literal(text: str) -> str:
    """Write a text as a literal of SQL."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _emitted(since: str | None, before: int | None = None) -> str:
    conditions = [f"emit_timestamp >= {literal(since)}"] if since else []
    conditions += [f"emit_timestamp < {_moment(before)}"] if before is not None else []
    return f" WHERE {' AND '.join(conditions)}" if conditions else ""


def _moment(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("'%Y-%m-%d %H:%M:%S'")


def _value(database: Database, query: str) -> Any:
    ((value,),) = database.execute(query)
    return value
