"""Whatever a producer writes or a server's profile sets, the stream goes on and loses nothing."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from domination import check
from domination.clickhouse import queries, schema
from domination.clickhouse.faults import OldTablesError
from domination.settings import Settings
from harness.processes import eventually
from harness.shadow_topic import TIME, settings_of, shadow, shadows, write

if TYPE_CHECKING:
    from harness.clickhouse_core import ClickHouseCore
    from harness.pipeline import Pipeline

ROOT: Final = Path(__file__).parents[2]
NOWHERE: Final = Settings(bootstrap_servers="127.0.0.1:1")
KEYED: Final = ("shadow", "shadow_broken")
OLD: Final = {
    name: re.sub(
        r",\s+(toUInt32.*AS )?record_hash( UInt32)?|PRIMARY KEY.*",
        "",
        sql.replace("PRIMARY KEY (emit", "PARTITION BY toYYYYMM(emit_timestamp)\nPRIMARY KEY"),
    )
    for name, sql in schema.statements(NOWHERE)
}
"""Statements of before."""

CENTURIES: Final = [
    f"{year}-{month:02}-01 00:00:00.000" for year in range(1900, 2300) for month in range(1, 13)
]
"""Each month that ClickHouse has a name for."""


def test_shadows_of_any_month_become_rows_in_one_go(
    pipeline: Pipeline, core: ClickHouseCore
) -> None:
    pipeline.create()
    write(pipeline, [shadow(time=time) for time in CENTURIES])
    core.apply(settings_of(pipeline))
    eventually(lambda: core.count("shadow") == len(CENTURIES), what="rows of each month")
    write(pipeline, shadows(10))
    eventually(lambda: core.count("shadow") == len(CENTURIES) + 10, what="rows behind them")
    found = {time for (time,) in core.execute("SELECT toString(emit_timestamp) FROM shadow")}
    assert found == {*CENTURIES, TIME}


@pytest.fixture
def old(core: ClickHouseCore) -> ClickHouseCore:
    """Give a ClickHouse with the tables of before, and a row and a broken record in them."""
    for sql in OLD.values():
        core.execute(sql)
    for table in KEYED:
        core.execute(f"INSERT INTO {table} (kafka_offset) VALUES (7)")
    return core


def test_tables_of_an_older_schema_are_told_and_left_as_they_are(old: ClickHouseCore) -> None:
    before = queries.tables(old)
    told = f"created by an older schema, with other keys: {', '.join(KEYED)}"
    with pytest.raises(OldTablesError, match=f"{told}$"):
        old.apply(replace(NOWHERE, clickhouse_group="other"))
    assert told in str(dict(check.of_clickhouse(NOWHERE, old, "here"))["tables"])
    assert queries.tables(old) == before


def test_rows_move_from_tables_of_an_older_schema_as_the_page_says(old: ClickHouseCore) -> None:
    page = (ROOT / "docs" / "operate.md").read_text().partition("**Tables of an older schema.**")[2]
    away, back = re.findall(r"^```sql\n(.*?)^```", page, re.DOTALL | re.MULTILINE)[:2]
    run(old, away)
    old.apply(NOWHERE)
    for _ in range(2):
        run(old, back)
    for table in KEYED:
        assert old.execute(f"SELECT kafka_offset FROM {table}") == [(7,)]


def run(core: ClickHouseCore, script: str) -> None:
    for statement in filter(str.strip, script.split(";")):
        core.execute(statement)


def test_a_profile_that_loses_what_cannot_be_stored_is_found(core: ClickHouseCore) -> None:
    name = "materialized_views_ignore_errors"
    assert dict(check.of_clickhouse(NOWHERE, core, "here"))[name] is None
    core.execute(f"SET {name} = 1")
    assert "are lost" in str(dict(check.of_clickhouse(NOWHERE, core, "here"))[name])
