"""How long ClickHouse keeps rows: by its own clock, and by a setting for each of the two tables."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import pytest

from domination.clickhouse import queries, schema
from domination.settings import Settings
from harness.processes import eventually

if TYPE_CHECKING:
    from harness.clickhouse_core import ClickHouseCore

DAYS: Final = {
    schema.SHADOW: "clickhouse_ttl_days",
    schema.BROKEN: "clickhouse_broken_ttl_days",
}
TIMES: Final = {schema.SHADOW: "emit_timestamp", schema.BROKEN: "kafka_timestamp"}
UNCHANGED: Final = "exists, not changed"


@pytest.mark.parametrize("table", DAYS)
def test_a_row_is_kept_for_the_days_set_whatever_its_own_time_says(
    core: ClickHouseCore, table: str
) -> None:
    core.execute(made(table, 3))
    store = f"INSERT INTO {table} (kafka_offset, {TIMES[table]}, received)"
    core.execute(
        f"{store} SELECT number, '2299-12-31 00:00:00', now() - toIntervalDay(number) + 3600"
        " FROM numbers(10)"
    )
    core.execute(f"{store} VALUES (99, '1970-01-01 00:00:00', now())")
    until_kept(core, table, [0, 1, 2, 3, 99])
    assert keep(core, table, 3) == UNCHANGED
    assert keep(core, table, 1) == "now keeps rows for 1 days"
    until_kept(core, table, [0, 1, 99])
    assert keep(core, table, 10_000) == "now keeps rows for 10000 days"
    until_kept(core, table, [0, 1, 99])


@pytest.mark.parametrize("table", DAYS)
def test_a_table_that_kept_rows_for_ever_keeps_them_for_the_days_set_from_now_on(
    core: ClickHouseCore, table: str
) -> None:
    core.execute(re.sub(r"    received.*\n|\nTTL.*", "", made(table, 30)))
    core.execute(f"INSERT INTO {table} (kafka_offset) VALUES (1)")
    assert keep(core, table, 30) == "now keeps rows for 30 days"
    assert keep(core, table, 30) == UNCHANGED
    until_kept(core, table, [1])


def test_shadows_are_kept_for_ever_by_default_and_again_once_that_is_set(
    core: ClickHouseCore,
) -> None:
    old = "INSERT INTO shadow (kafka_offset, received) VALUES (1, '1970-01-01 00:00:00')"
    core.execute(dict(schema.statements(Settings()))[schema.SHADOW])
    core.execute(old)
    until_kept(core, schema.SHADOW, [1])
    assert keep(core, schema.SHADOW, 0) == UNCHANGED
    keep(core, schema.SHADOW, 1)
    until_kept(core, schema.SHADOW, [])
    assert keep(core, schema.SHADOW, 0) == "now keeps rows for ever"
    assert keep(core, schema.SHADOW, 0) == UNCHANGED
    core.execute(old)
    until_kept(core, schema.SHADOW, [1])


def test_a_users_own_retention_stays_until_one_is_set(core: ClickHouseCore) -> None:
    core.execute(dict(schema.statements(Settings()))[schema.SHADOW])
    core.execute("ALTER TABLE shadow MODIFY TTL toDateTime(emit_timestamp) + toIntervalDay(9)")
    assert keep(core, schema.SHADOW, 0) == UNCHANGED
    assert "emit_timestamp) + toIntervalDay(9)" in queries.tables(core)[schema.SHADOW]
    assert keep(core, schema.SHADOW, 9) == "now keeps rows for 9 days"
    assert " TTL received + toIntervalDay(9)" in queries.tables(core)[schema.SHADOW]


def settings_for(table: str, days: int) -> Settings:
    own: dict[str, Any] = {DAYS[table]: days}
    return Settings(bootstrap_servers="x.invalid:1", **own)


def made(table: str, days: int) -> str:
    """Give the statement that makes a table which keeps rows for so many days."""
    return dict(schema.statements(settings_for(table, days)))[table]


def keep(core: ClickHouseCore, table: str, days: int) -> str:
    """Apply a time to keep rows; give what is said of it."""
    return core.apply(settings_for(table, days))[table]


def until_kept(core: ClickHouseCore, table: str, offsets: list[int]) -> None:
    """Wait until these are the offsets of the rows, since ClickHouse may be changing the table."""
    eventually(lambda: kept(core, table) == offsets, what=f"{offsets} in {table}")


def kept(core: ClickHouseCore, table: str) -> list[int]:
    """Give the offsets of the rows, after what is due is gone."""
    core.execute(f"OPTIMIZE TABLE {table} FINAL")
    return [offset for (offset,) in core.execute(f"SELECT kafka_offset FROM {table} ORDER BY 1")]
