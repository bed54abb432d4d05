"""The tables of ClickHouse: the files of schema/, in the order of their names, filled in."""

from __future__ import annotations

from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from domination.errors import DominationError, Exit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from domination.settings import Settings

OLDEST: Final = (25, 3)
"""The first ClickHouse that can read from Kafka 4."""

STREAM: Final = "shadow_stream"
CONSUMER: Final = "shadow_consumer"

# In a wheel the files lie inside the package, in a checkout beside it.
_PACKAGE = Path(__file__).parent.parent
_INSTALLED = _PACKAGE / "sql"
_DIRECTORY = _INSTALLED if _INSTALLED.is_dir() else _PACKAGE.parent / "schema"


class Database(Protocol):
    """A ClickHouse, by whatever way it is asked."""

    def execute(self, query: str) -> list[tuple[Any, ...]]:
        """Run one statement in the database of the settings; give its rows."""


class Statement(NamedTuple):
    """What makes one table or view."""

    name: str
    sql: str


def statements(settings: Settings) -> list[Statement]:
    """Give the statements in the order they have to run in, without comments."""
    brokers = settings.clickhouse_kafka_brokers or settings.bootstrap_servers
    values = {
        "brokers": brokers,
        "topic": settings.output_topic,
        "group": settings.clickhouse_group,
    }
    return [
        Statement(file.stem.split("_", 1)[1], _fill(file.read_text(), values))
        for file in sorted(_DIRECTORY.glob("*.sql"))
    ]


def apply(database: Database, settings: Settings) -> Iterator[tuple[str, str]]:
    """Make what is missing; yield each name with what came of it.

    A stream of other settings is made again: Kafka keeps its place. Nothing is read before all is
    there, since the consumer is made last. Raises `DominationError` (78) where ClickHouse is too
    old.
    """
    require_version(database)
    found = tables(database)
    again = STREAM in found and stale(database, settings, found)
    if again:
        for name in (CONSUMER, STREAM):
            database.execute(f"DROP TABLE IF EXISTS {name}")
    for name, sql in statements(settings):
        database.execute(sql)
        if again and name in (CONSUMER, STREAM):
            yield name, "made again, with other settings"
        else:
            yield name, "exists, left as it is" if name in found else "made"


def tables(database: Database) -> dict[str, str]:
    """Give the tables and views that there are, each with its engine."""
    query = "SELECT name, engine_full FROM system.tables WHERE database = currentDatabase()"
    return dict(database.execute(query))


def stale(database: Database, settings: Settings, found: Mapping[str, str]) -> bool:
    """Tell whether the stream among the tables `found` reads with other settings than these."""
    sql = dict(statements(settings))[STREAM]
    # ClickHouse itself writes the one as it shows the other.
    ((line,),) = database.execute(f"SELECT formatQuerySingleLine({literal(sql)})")
    return found[STREAM] != str(line).partition(" ENGINE = ")[2]


def version(database: Database) -> str:
    """Ask for ClickHouse's version."""
    return str(database.execute("SELECT version()")[0][0])


def require_version(database: Database) -> None:
    """End with 78 where ClickHouse is too old to read from Kafka 4."""
    found = version(database)
    if tuple(map(int, found.split(".")[:2])) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise DominationError(
            Exit.SETTING,
            f"ClickHouse {found} is too old to read from Kafka 4: it takes {oldest} or later",
        )


def literal(text: str) -> str:
    """Write a text as a literal of SQL."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _fill(text: str, values: dict[str, str]) -> str:
    lines = [line for line in text.splitlines() if not line.startswith("--")]
    filled = {name: literal(value) for name, value in values.items()}
    return Template("\n".join(lines)).substitute(filled)
