"""How long ClickHouse keeps what is no shadow: bounded by its own clock, and by a setting."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from domination.clickhouse import schema
from domination.settings import Settings

if TYPE_CHECKING:
    from harness.clickhouse_core import ClickHouseCore


def test_what_is_broken_is_kept_for_the_days_set_whatever_its_own_timestamp_says(
    core: ClickHouseCore,
) -> None:
    core.execute(dict(schema.statements(Settings(clickhouse_broken_ttl_days=3)))[schema.BROKEN])
    core.execute(
        "INSERT INTO shadow_broken SELECT 'shadow', 0, number, '2299-12-31 00:00:00', 'x', 'y',"
        " now() - toIntervalDay(number) + 3600, 0 FROM numbers(10)"
    )
    core.execute(
        "INSERT INTO shadow_broken (kafka_topic, kafka_offset, kafka_timestamp)"
        " VALUES ('shadow', 99, '1970-01-01 00:00:00')"
    )
    assert kept(core) == [0, 1, 2, 3, 99]
    assert keep(core, 3) == "exists, not changed"
    assert keep(core, 1) == "now keeps records for 1 days"
    assert kept(core) == [0, 1, 99]
    assert keep(core, 10_000) == "now keeps records for 10000 days"
    assert kept(core) == [0, 1, 99]


def test_a_table_that_kept_what_is_broken_for_ever_keeps_it_for_the_days_set(
    core: ClickHouseCore,
) -> None:
    sql = dict(schema.statements(Settings()))[schema.BROKEN]
    core.execute(re.sub(r"    received.*\n|\nTTL.*", "", sql))
    core.execute("INSERT INTO shadow_broken (kafka_offset) VALUES (1)")
    assert keep(core, 30) == "now keeps records for 30 days"
    assert keep(core, 30) == "exists, not changed"
    assert kept(core) == [1]


def keep(core: ClickHouseCore, days: int) -> str:
    """Apply a time to keep broken records; give what is said of it."""
    settings = Settings(bootstrap_servers="x.invalid:1", clickhouse_broken_ttl_days=days)
    return core.apply(settings)[schema.BROKEN]


def kept(core: ClickHouseCore) -> list[int]:
    """Give the offsets of the broken records, after what is due is gone."""
    core.execute("OPTIMIZE TABLE shadow_broken FINAL")
    return [
        offset for (offset,) in core.execute("SELECT kafka_offset FROM shadow_broken ORDER BY 1")
    ]
