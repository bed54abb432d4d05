"""The tables of ClickHouse: the files of schema/, in the order of their names, filled in."""

from __future__ import annotations

from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Final, NamedTuple

from domination.clickhouse import queries
from domination.clickhouse.faults import TooOldError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from domination.clickhouse.queries import Database
    from domination.settings import Settings

OLDEST: Final = (25, 3)
"""The first ClickHouse that can read from Kafka 4."""

STREAM: Final = "shadow_stream"
CONSUMER: Final = "shadow_consumer"

# A wheel has the files inside the package, a checkout has them beside it.
_PACKAGE: Final = Path(__file__).parent.parent
_INSTALLED: Final = _PACKAGE / "sql"
_DIRECTORY: Final = _INSTALLED if _INSTALLED.is_dir() else _PACKAGE.parent / "schema"


class Statement(NamedTuple):
    """A CREATE statement, and the table or view that it makes."""

    name: str
    sql: str


def statements(settings: Settings) -> list[Statement]:
    """Give the statements in the order they have to run in, without comments."""
    values = {
        "brokers": settings.clickhouse_kafka_brokers or settings.bootstrap_servers,
        "topic": settings.output_topic,
        "group": settings.clickhouse_group,
    }
    return [
        Statement(file.stem.split("_", 1)[1], _fill(file.read_text(), values))
        for file in sorted(_DIRECTORY.glob("*.sql"))
    ]


def apply(database: Database, settings: Settings) -> Iterator[tuple[str, str]]:
    """Make the tables that are missing; yield the name of each table and what was done.

    A stream with other settings is dropped and made again; Kafka keeps its offsets. ClickHouse
    reads nothing before all tables are there, since the consumer is the last one. Raises
    `TooOldError` where ClickHouse is too old.
    """
    require_version(database)
    found = queries.tables(database)
    dropped = _drop_stale(database, settings, found)
    for name, sql in statements(settings):
        database.execute(sql)
        if name in dropped:
            yield name, "made again, with other settings"
        else:
            yield name, "exists, left as it is" if name in found else "made"


def _drop_stale(
    database: Database, settings: Settings, found: Mapping[str, str]
) -> tuple[str, ...]:
    """Drop the stream and its consumer where the stream is stale; give what was dropped."""
    if STREAM not in found or not stale(database, settings, found):
        return ()
    dropped = (CONSUMER, STREAM)
    for name in dropped:
        database.execute(f"DROP TABLE IF EXISTS {name}")
    return dropped


def stale(database: Database, settings: Settings, found: Mapping[str, str]) -> bool:
    """Tell whether the stream among the tables `found` reads with other settings than these."""
    return found[STREAM] != queries.engine(database, dict(statements(settings))[STREAM])


def require_version(database: Database) -> None:
    """End with 78 where ClickHouse is too old to read from Kafka 4."""
    found = queries.version(database)
    if tuple(map(int, found.split(".")[:2])) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise TooOldError(
            f"ClickHouse {found} is too old to read from Kafka 4: install {oldest} or later"
        )


def _fill(text: str, values: dict[str, str]) -> str:
    lines = [line for line in text.splitlines() if not line.startswith("--")]
    filled = {name: queries.literal(value) for name, value in values.items()}
    return Template("\n".join(lines)).substitute(filled)
