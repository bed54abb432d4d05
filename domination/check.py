"""Whether the system could run here: one finding after the other, each with how to mend it."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from domination import broker
from domination.clickhouse import queries, schema
from domination.errors import DominationError, Exit
from domination.group import Group
from domination.identity import Identity
from domination.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from domination.clickhouse.queries import Database
    from domination.settings import Settings

# A cluster that has never had a group or a transaction makes its own topics for them first.
_SECONDS: Final = 20.0

PARTS: Final = ("kafka", "clickhouse")
"""What can be looked at."""


class Finding(NamedTuple):
    """What was looked at, and what is wrong with it."""

    what: str
    error: DominationError | None

    @property
    def exit_code(self) -> Exit:
        """The exit code of what is wrong, or 0."""
        return self.error.exit_code if self.error else Exit.OK

    def json(self) -> dict[str, Any]:
        """Write it for programs."""
        error = str(self.error) if self.error else None
        return {"ok": not self.error, "what": self.what, "error": error}

    def line(self) -> str:
        """Write it for people."""
        return f"FAIL {self.what}: {self.error}" if self.error else f"ok   {self.what}"


def findings(settings: Settings, parts: Collection[str]) -> Iterator[Finding]:
    """Look at the parts asked for, of `PARTS`."""
    if "kafka" in parts:
        yield from of_kafka(settings)
    if "clickhouse" in parts:
        from domination.clickhouse.server import Server  # noqa: PLC0415 - a worker has no need of it

        with closing(Server(settings)) as server:
            yield from of_clickhouse(settings, server, server.address)


def of_kafka(settings: Settings) -> Iterator[Finding]:
    """Look at the broker, the topics and the rights; nothing is written and no group is joined."""
    admin = broker.Admin(settings, _SECONDS)
    at = f"broker {settings.bootstrap_servers}"
    unreachable = _error(broker.Admin(settings).reach)
    yield Finding(at, unreachable)
    if unreachable:
        return
    for topic, operation in broker.needed(settings).items():
        yield _topic(settings, admin, topic, operation)
    yield Finding(f"group {settings.group}", _error(_group, admin, settings))
    yield Finding(f"transactional ids {settings.id_prefix}…", _error(_transactions, settings))


def of_clickhouse(settings: Settings, database: Database, at: str) -> Iterator[Finding]:
    """Look at the server, its tables and the consumer that fills them."""
    try:
        version = queries.version(database)
        schema.require_version(database)
    except DominationError as error:
        yield Finding(f"ClickHouse {at}", error)
        return
    yield Finding(f"ClickHouse {version} at {at}", None)
    yield Finding("async_load_databases", _error(_loading, database))
    missing = _error(_tables, database, settings)
    yield Finding("tables", missing)
    if missing is None:
        yield Finding(f"consumer of {schema.STREAM}", _error(_consumer, database))
        yield from _lag(settings)


def _loading(database: Database) -> None:
    if queries.server_setting(database, "async_load_databases") != "0":
        raise DominationError(
            Exit.SETTING,
            "is on: after a restart records may be read before the tables they go to are there, "
            "and are lost; set it to false in the server's configuration",
        )


def _tables(database: Database, settings: Settings) -> None:
    found = queries.tables(database)
    missing = [name for name, _ in schema.statements(settings) if name not in found]
    if missing:
        raise DominationError(
            Exit.SETTING, f"no {', no '.join(missing)}; make them with 'domination schema apply'"
        )
    if schema.stale(database, settings, found):
        raise DominationError(
            Exit.SETTING,
            f"{schema.STREAM} reads with other settings than these; "
            "'domination schema apply' makes it again",
        )


def _consumer(database: Database) -> None:
    consumers = queries.consumers(database, schema.STREAM)
    if not any(each.assigned for each in consumers):
        errors = [each.error.splitlines()[0] for each in consumers if each.error]
        raise DominationError(
            Exit.UNAVAILABLE,
            "has no partition" + (f": {errors[0]}" if errors else " yet; look again in a moment"),
        )
    for consumer in consumers:
        if consumer.failing:
            raise DominationError(Exit.UNAVAILABLE, consumer.error.splitlines()[0])
        if not consumer.polling:
            raise DominationError(
                Exit.UNAVAILABLE,
                f"has not asked for {queries.RECENT_SECONDS} s; see ClickHouse's log",
            )


def _lag(settings: Settings) -> Iterator[Finding]:
    what = f"group {settings.clickhouse_group}"
    try:
        admin = broker.Admin(settings, _SECONDS)
        topic = settings.output_topic
        found = admin.partitions({topic: "DESCRIBE"})
        broker.require_topics(found)
        with closing(Group(settings, settings.clickhouse_group, _SECONDS)) as group:
            lag = sum(group.lags(admin, topic, found[topic]).values())
    except DominationError as error:
        yield Finding(what, error)
    else:
        yield Finding(f"{what}, {lag:,} records behind", None)


def _error(look: Callable[..., None], *arguments: Any) -> DominationError | None:
    try:
        look(*arguments)
    except DominationError as error:
        return error
    return None


def _topic(settings: Settings, admin: broker.Admin, topic: str, operation: str) -> Finding:
    what = f"topic {topic}"
    try:
        _require(operation, what, admin.topic_operations(topic))
        partitions = admin.partitions({topic: operation})[topic]
        if operation == "WRITE" and partitions:
            with broker.told(settings, f"looking at {what}"):
                _forbid_compaction(what, compacted=admin.compacted(topic))
    except DominationError as error:
        return Finding(what, error)
    return Finding(f"{what}, {partitions} partitions", None)


def _forbid_compaction(what: str, *, compacted: bool) -> None:
    if compacted:
        raise DominationError(
            Exit.SETTING,
            f"{what} is compacted: it takes no record without a key, and keeps only the last of "
            "each key; set its cleanup.policy to delete",
        )


def _group(admin: broker.Admin, settings: Settings) -> None:
    name, topic = settings.group, settings.input_topic
    _require("READ", f"group {name}", admin.group_operations(name))
    if not admin.ever_written(settings.topics[1:]):
        return
    with closing(Group(settings, name, _SECONDS)) as group:
        if not group.has_offsets(topic, admin.partitions({topic: "READ"})[topic]):
            raise broker.lost_offsets(settings)


def _require(operation: str, what: str, allowed: set[str]) -> None:
    if operation not in allowed:
        raise DominationError(Exit.REFUSED, broker.no_right(f"{operation} on {what}"))


def _transactions(settings: Settings) -> None:
    identity = Identity(settings, worker_index=0)
    # Not the worker's own id: taking that would fence a worker that runs.
    writer = Writer(settings, f"{identity.transactional_id}-check")
    try:
        with broker.told(settings, "starting transactions"):
            writer.renew(_SECONDS)
    finally:
        writer.close(_SECONDS)
        identity.release()
