"""Whether the system could run here: one finding after the other, each with how to mend it."""

from __future__ import annotations

import re
import socket
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from domination import connection
from domination.advice import expected
from domination.clickhouse import queries, schema
from domination.clickhouse.faults import ClickHouseError
from domination.errors import DominationError, Exit
from domination.exactly_once import clients
from domination.exactly_once.errors import LostOffsetsError
from domination.exactly_once.transactional import TransactionalProducer
from domination.kafka.cluster import Cluster
from domination.kafka.faults import FaultError, Rights
from domination.kafka.group import Group

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Iterator

    from domination.clickhouse.queries import Consumer, Database
    from domination.kafka.client import Connection
    from domination.settings import Settings

# A cluster that has never had a group or a transaction makes its own topics for them first.
_SECONDS: Final = 20.0

REACH_SECONDS: Final = 5.0
"""How long the brokers that ClickHouse asks may take to answer here."""
# What ClickHouse's consumer says of an authority that its server does not trust.
_UNTRUSTED: Final = "certificate verify failed"

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


def require_clients(settings: Settings) -> None:
    """Raise `SettingError` where a worker's clients refuse the properties; connect to nothing."""
    clients.require(connection.of(settings), settings.group)


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
    if unfit := _error(require_clients, settings):
        yield Finding("properties of Kafka's clients", unfit)
        return
    shared = connection.of(settings)
    at = f"broker {settings.bootstrap_servers}"
    unreachable = _error(Cluster(shared).reach, settings.input_topic)
    yield Finding(at, unreachable)
    if unreachable:
        return
    cluster = Cluster(shared, _SECONDS)
    for topic, operation in connection.needed(settings).items():
        yield _topic(cluster, topic, operation)
    yield Finding(f"group {settings.group}", _error(_group, shared, cluster, settings))
    yield Finding(f"transactional ids {settings.id_prefix}…", _error(_transactions, settings))


def of_clickhouse(settings: Settings, database: Database, at: str) -> Iterator[Finding]:
    """Look at the server, its user at Kafka, its tables and the consumer that fills them."""
    try:
        version = queries.version(database)
        schema.require_version(database, settings)
    except ClickHouseError as error:
        yield Finding(f"ClickHouse {at}", expected(error))
        return
    yield Finding(f"ClickHouse {version} at {at}", None)
    yield Finding("async_load_databases", _error(_loading, database))
    yield Finding("materialized_views_ignore_errors", _error(_losing, database))
    shared = connection.of(settings)
    if settings.clickhouse_kafka_sasl_username:
        shared = (yield from _reader(settings)) or shared
    missing = _error(_tables, database, settings)
    yield Finding("tables", missing)
    if missing is None:
        yield Finding(f"consumer of {schema.STREAM}", _error(_consumer, database))
        yield from _lag(settings, shared)


def _reader(settings: Settings) -> Generator[Finding, None, Connection | None]:
    """Look at the rights of ClickHouse's user by asking Kafka as this user; give how, if it works.

    ClickHouse itself tells once that a right is missing, and no more.
    """
    user, topic = settings.clickhouse_kafka_sasl_username, settings.output_topic
    shared = connection.of_clickhouse(settings)
    what = f"ClickHouse's user {user} at broker {shared.servers}"
    error = _error(_reach, shared, topic)
    if error and error.exit_code is Exit.UNAVAILABLE and settings.clickhouse_kafka_brokers:
        yield Finding(f"{what}: not asked, as none answers here", None)
        return None
    yield Finding(what, error and _of_clickhouse(error))
    if error:
        return None
    cluster = Cluster(shared, _SECONDS)
    for kind, name, look in (
        ("topic", topic, cluster.topic_operations),
        ("group", settings.clickhouse_group, cluster.group_operations),
    ):
        yield Finding(f"{kind} {name}, for {user}", _error(_may_read, kind, name, look))
    return shared


def _reach(shared: Connection, topic: str) -> None:
    Cluster(shared, REACH_SECONDS).reach(topic)


def _of_clickhouse(error: DominationError) -> DominationError:
    """Name the settings of ClickHouse's login in place of a worker's."""
    text = re.sub(
        r"DOMINATION_KAFKA_(?=SECURITY_|SASL_)", "DOMINATION_CLICKHOUSE_KAFKA_", str(error)
    )
    return DominationError(error.exit_code, text)


def _may_read(kind: str, name: str, look: Callable[[str], set[str]]) -> None:
    _require("READ", f"{kind} {name}", look(name))


def _loading(database: Database) -> None:
    if queries.server_setting(database, "async_load_databases") != "0":
        raise DominationError(
            Exit.SETTING,
            "is on: after a restart ClickHouse may read records before their tables are loaded, "
            "and lose them; set it to false in the server's configuration",
        )


def _losing(database: Database) -> None:
    if queries.user_setting(database, "materialized_views_ignore_errors") == "1":
        raise DominationError(
            Exit.SETTING,
            "is on: records that cannot be stored at once are lost, instead of being read again; "
            "set it to 0 in the server's default profile",
        )


def _tables(database: Database, settings: Settings) -> None:
    found = queries.tables(database)
    missing = [name for name, _ in schema.statements(settings) if name not in found]
    if missing:
        raise DominationError(
            Exit.SETTING,
            f"{', '.join(missing)} missing; create them with 'domination schema apply'",
        )
    schema.require_keys(database, settings, found)
    if schema.stale(database, settings, found):
        raise DominationError(
            Exit.SETTING,
            f"{schema.STREAM} reads with other settings than these; "
            "'domination schema apply' creates it again",
        )


def _consumer(database: Database) -> None:
    consumers = queries.consumers(database, schema.STREAM)
    if not any(each.assigned for each in consumers):
        errors = [_told(each) for each in consumers if each.error]
        raise DominationError(
            Exit.UNAVAILABLE,
            "has no partition" + (f": {errors[0]}" if errors else " yet; look again in a moment"),
        )
    for consumer in consumers:
        if consumer.failing:
            raise DominationError(Exit.UNAVAILABLE, _told(consumer))
        if not consumer.polling:
            raise DominationError(
                Exit.UNAVAILABLE,
                f"has not polled Kafka for {queries.RECENT_SECONDS} s; see ClickHouse's log",
            )


def _told(consumer: Consumer) -> str:
    """Give a consumer's error in one line, with what to do where that is known."""
    (line, *_) = consumer.error.splitlines()
    advice = "; set ssl_ca_location in its server's configuration, as docs/operate.md says"
    return line + advice if _UNTRUSTED in line else line


def _lag(settings: Settings, shared: Connection) -> Iterator[Finding]:
    what = f"group {settings.clickhouse_group}"
    try:
        lag = _count_lag(settings, shared)
    except FaultError as error:
        yield Finding(what, expected(error))
    else:
        yield Finding(f"{what}, {lag:,} records behind", None)


def _count_lag(settings: Settings, shared: Connection) -> int:
    topic = settings.output_topic
    cluster = Cluster(shared, _SECONDS)
    found = cluster.require({topic: "DESCRIBE"})
    with closing(Group(shared, settings.clickhouse_group, _SECONDS)) as group:
        return sum(group.lags(cluster, topic, found[topic]).values())


def _error(look: Callable[..., None], *arguments: Any) -> DominationError | None:
    try:
        look(*arguments)
    except (DominationError, ClickHouseError, FaultError) as error:
        return expected(error)
    return None


def _topic(cluster: Cluster, topic: str, operation: str) -> Finding:
    what = f"topic {topic}"
    try:
        _require(operation, what, cluster.topic_operations(topic))
        partitions = cluster.partitions({topic: operation})[topic]
        if operation == "WRITE" and partitions:
            with cluster.asking(f"looking at {what}"):
                cluster.require_uncompacted(topic)
    except (DominationError, FaultError) as error:
        return Finding(what, expected(error))
    return Finding(f"{what}, {partitions} partitions", None)


def _group(shared: Connection, cluster: Cluster, settings: Settings) -> None:
    name, topic = settings.group, settings.input_topic
    _require("READ", f"group {name}", cluster.group_operations(name))
    if not cluster.ever_written(settings.topics[1:]):
        return
    with closing(Group(shared, name, _SECONDS)) as group:
        if not group.has_offsets(topic, cluster.partitions({topic: "READ"})[topic]):
            raise LostOffsetsError(name, topic, settings.topics[1:])


def _require(operation: str, what: str, allowed: set[str]) -> None:
    if operation not in allowed:
        raise DominationError(Exit.REFUSED, f"no right to {operation} on {what}; ask for that ACL")


def _transactions(settings: Settings) -> None:
    # Not the id of any worker: taking that would fence one that runs.
    mine = f"{settings.id_prefix}{socket.gethostname()}-check"
    rights = Rights(
        transactional_ids=f"WRITE on every transactional id that begins with {settings.id_prefix}"
    )
    shared = connection.of(settings)
    producer = TransactionalProducer(shared, {}, mine)
    with shared.asking("starting transactions", rights):
        producer.init(settings.topics[1:], _SECONDS)
