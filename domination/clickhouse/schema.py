"""The tables of ClickHouse: the files of schema/, in the order of their names, filled in."""

from __future__ import annotations

from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Final, NamedTuple

from domination.clickhouse import queries
from domination.clickhouse.faults import OldTablesError, ShardedError, TooOldError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from domination.clickhouse.queries import Database
    from domination.settings import Settings

OLDEST: Final = (25, 3)
"""The first ClickHouse that can read from Kafka 4."""
OLDEST_WITH_LOGIN: Final = (25, 5)
"""The first whose tables of Kafka have a login of their own."""
HIDDEN: Final = "[HIDDEN]"
"""What ClickHouse shows in the place of a password."""

SHADOW: Final = "shadow"
BROKEN: Final = "shadow_broken"
STREAM: Final = "shadow_stream"
CONSUMER: Final = "shadow_consumer"

_KEYED: Final = "ReplacingMergeTree "
_SHARDED: Final = "Distributed("
_TTL_START: Final = "received + toIntervalDay("
# A wheel has the files inside the package, a checkout has them beside it.
_PACKAGE: Final = Path(__file__).parent.parent
_INSTALLED: Final = _PACKAGE / "sql"
_DIRECTORY: Final = _INSTALLED if _INSTALLED.is_dir() else _PACKAGE.parent / "schema"


class Statement(NamedTuple):
    """A CREATE statement, and the table or view that it makes."""

    name: str
    sql: str


def statements(settings: Settings, *, secrets: bool = False) -> list[Statement]:
    """Give the statements in the order they have to run in, without comments.

    Without `secrets` they have `HIDDEN` in the place of the password, as ClickHouse shows them.
    """
    values = {
        "brokers": queries.literal(settings.clickhouse_kafka_brokers or settings.bootstrap_servers),
        "topic": queries.literal(settings.output_topic),
        "group": queries.literal(settings.clickhouse_group),
        "login": _login(settings, secrets=secrets),
        "consumers": str(settings.clickhouse_consumers),
        "ttl": _ttl(settings.clickhouse_ttl_days),
        "broken_ttl": _ttl(settings.clickhouse_broken_ttl_days),
    }
    return [
        Statement(file.stem.split("_", 1)[1], _fill(file.read_text(), values))
        for file in sorted(_DIRECTORY.glob("*.sql"))
    ]


def _ttl(days: int) -> str:
    """Give the clause by which a table keeps a row for so many days after it arrived; 0: for ever.

    ClickHouse's own clock counts them: the writer of a record chooses the record's times.
    """
    return f"\nTTL {_TTL_START}{days})" if days else ""


def _login(settings: Settings, *, secrets: bool) -> str:
    """Give the settings of the stream with which ClickHouse logs in at Kafka, a line each."""
    password = settings.clickhouse_kafka_sasl_password
    login = {
        "security_protocol": settings.clickhouse_kafka_security_protocol,
        "sasl_mechanism": settings.clickhouse_kafka_sasl_mechanism,
        "sasl_username": settings.clickhouse_kafka_sasl_username,
        "sasl_password": password if secrets else password and HIDDEN,
    }
    return "".join(
        f",\n    kafka_{name} = {queries.literal(value)}" for name, value in login.items() if value
    )


def apply(database: Database, settings: Settings) -> Iterator[tuple[str, str]]:
    """Make the tables that are missing; yield the name of each table and what was done.

    A stream with other settings is dropped and made again; Kafka keeps its offsets. So is one with
    a password, which ClickHouse hides. Rows are kept for the time of the settings.
    ClickHouse reads nothing before all tables are there, since the consumer is the last one.
    Changes nothing where it raises: `TooOldError` where ClickHouse is too old, `OldTablesError`
    where tables are.
    """
    require_version(database, settings)
    found = queries.tables(database)
    require_keys(database, settings, found)
    why = _why_again(database, settings, found)
    dropped = _drop_stream(database) if why else ()
    days = {
        SHADOW: settings.clickhouse_ttl_days,
        BROKEN: settings.clickhouse_broken_ttl_days,
    }
    for name, sql in statements(settings, secrets=True):
        database.execute(sql)
        if name in dropped:
            yield name, f"created again, {why}"
        elif name in days and name in found and _keep(database, name, sql, found[name]):
            yield name, f"now keeps rows {_for(days[name])}"
        else:
            yield name, "exists, not changed" if name in found else "created"


def _why_again(database: Database, settings: Settings, found: Mapping[str, str]) -> str:
    """Say why the stream has to be made again; empty where it need not."""
    if STREAM not in found:
        return ""
    if stale(database, settings, found):
        return "with other settings"
    return "since it may have an older password" if settings.clickhouse_kafka_sasl_password else ""


def _drop_stream(database: Database) -> tuple[str, ...]:
    """Drop the stream and its consumer; give their names."""
    dropped = (CONSUMER, STREAM)
    for name in dropped:
        database.execute(f"DROP TABLE IF EXISTS {name}")
    return dropped


def _keep(database: Database, table: str, statement: str, found: str) -> bool:
    """Keep rows for the time in the statement; tell whether it was another until now.

    The rows of a table that had no column for their arrival arrive now.
    """
    wanted, kept = _ttl_of(queries.engine(database, statement)), _ttl_of(found)
    # A user's own table of another kind keeps what it keeps. So does one with a TTL of his own
    # where we want none.
    own = "MergeTree" not in found or not (wanted or kept.startswith(_TTL_START))
    if wanted == kept or own:
        return False
    received = "ADD COLUMN IF NOT EXISTS received DateTime('UTC') DEFAULT now()"
    change = f"{received}, MODIFY TTL {wanted}" if wanted else "REMOVE TTL"
    database.execute(f"ALTER TABLE {table} {change}")
    return True


def _for(days: int) -> str:
    return f"for {days} days" if days else "for ever"


def _ttl_of(engine: str) -> str:
    return engine.partition(" TTL ")[2].partition(" SETTINGS ")[0]


def stale(database: Database, settings: Settings, found: Mapping[str, str]) -> bool:
    """Tell whether the stream among the tables `found` reads with other settings than these.

    But for the password, which ClickHouse hides.
    """
    return found[STREAM] != queries.engine(database, dict(statements(settings))[STREAM])


def require_keys(database: Database, settings: Settings, found: Mapping[str, str]) -> None:
    """Raise `OldTablesError` where tables among those `found` have other keys than ours.

    ClickHouse cannot change them. A table with an engine that we never make is its user's own.
    """
    old = [
        name
        for name, sql in statements(settings)
        if found.get(name, "").startswith(_KEYED)
        and _keys(found[name]) != _keys(queries.engine(database, sql))
    ]
    if old:
        raise OldTablesError(f"created by an older schema, with other keys: {', '.join(old)}")


def _keys(engine: str) -> str:
    return engine.partition(" TTL ")[0].partition(" SETTINGS ")[0]


def require_stored(database: Database) -> None:
    """Raise `ShardedError` where tables are Distributed: ClickHouse deletes no rows from those."""
    found = queries.tables(database)
    sharded = [name for name in (SHADOW, BROKEN) if found.get(name, "").startswith(_SHARDED)]
    if sharded:
        raise ShardedError(f"no rows can be deleted from a Distributed table: {', '.join(sharded)}")


def require_version(database: Database, settings: Settings | None = None) -> None:
    """End with 78 where ClickHouse is too old to read from Kafka 4, or to log in at it."""
    login = settings is not None and settings.clickhouse_kafka_security_protocol
    oldest, what = (OLDEST_WITH_LOGIN, "log in at") if login else (OLDEST, "read from")
    found = queries.version(database)
    if tuple(map(int, found.split(".")[:2])) < oldest:
        install = ".".join(map(str, oldest))
        raise TooOldError(
            f"ClickHouse {found} is too old to {what} Kafka 4: install {install} or later"
        )


def _fill(text: str, values: dict[str, str]) -> str:
    lines = [line for line in text.splitlines() if not line.startswith("--")]
    return Template("\n".join(lines)).substitute(values)
