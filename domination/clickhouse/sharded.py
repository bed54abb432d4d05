"""The tables of ClickHouse on a cluster, made from the statements for one server.

A shard stores its rows in `shadow_local` and `shadow_broken_local`, on each of its replicas. The
tables `shadow` and `shadow_broken` are Distributed: they store nothing, and read and write all
shards. The stream and the views are on each server. Nobody has run this on a real cluster.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from domination.clickhouse import queries, schema
from domination.clickhouse.schema import Statement

if TYPE_CHECKING:
    from collections.abc import Iterator

    from domination.settings import Settings

LOCAL: Final = "_local"
"""What the name of a table of one shard ends with."""

# A part of the sorting key of both tables: all copies of a record go to one shard, whichever server
# reads it. FINAL and merges find copies only within a shard.
_SHARDING_KEY: Final = "cityHash64(kafka_partition, kafka_offset)"
_ENGINE: Final = "\nENGINE = "
_KEYED: Final = "ReplacingMergeTree"
# ClickHouse fills in the braces. A path with {uuid} would be another one for a replica that is
# added later.
_REPLICA: Final = "('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')"


def statements(settings: Settings, cluster: str, *, secrets: bool = False) -> Iterator[Statement]:
    """Give the statements in the order they have to run in, once for the whole cluster."""
    name = queries.literal(cluster)
    for each in schema.statements(settings, secrets=secrets):
        stored = each.name in {schema.SHADOW, schema.BROKEN}
        for table, sql in _sharded(each, name) if stored else [each]:
            head = f" IF NOT EXISTS {table}"
            yield Statement(table, sql.replace(head, f"{head} ON CLUSTER {name}", 1))


def _sharded(single: Statement, cluster: str) -> Iterator[Statement]:
    """Give the table of each shard, and that of all shards, with the name of the single one."""
    table, local = single.name, f"{single.name}{LOCAL}"
    columns, _, engine = single.sql.partition(_ENGINE)
    replicated = engine.replace(_KEYED, f"Replicated{_KEYED}{_REPLICA}", 1)
    all_shards = f"Distributed({cluster}, currentDatabase(), '{local}', {_SHARDING_KEY})"
    yield Statement(local, columns.replace(table, local, 1) + _ENGINE + replicated)
    yield Statement(table, columns + _ENGINE + all_shards)
