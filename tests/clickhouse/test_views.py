"""Questions and views of a user's own: those that docs/faust.md proposes count each row once."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from domination.clickhouse import schema
from domination.settings import Settings
from harness.processes import ROOT

if TYPE_CHECKING:
    from harness.clickhouse_core import ClickHouseCore


def test_the_counts_of_the_page_have_a_row_that_is_read_again_once(core: ClickHouseCore) -> None:
    # A view that is refreshed needs a database of the engine that servers have by default.
    for sql in ("CREATE DATABASE page ENGINE = Atomic", "USE page"):
        core.execute(sql)
    core.execute(dict(schema.statements(Settings()))["shadow"])
    page = (ROOT / "docs" / "faust.md").read_text()
    question, view = re.findall(r"^```sql\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    unrefreshed = view.replace(" REFRESH EVERY 1 MINUTE", "").replace(" FINAL", "")
    core.execute(unrefreshed.replace("VIEW humans", "VIEW inserted"))
    for _ in range(2):
        core.execute(
            "INSERT INTO shadow (* EXCEPT received) SELECT number % 4, toString(number),"
            " toDateTime64('2026-02-28 23:59:59.999', 3, 'UTC'), 0, number, 0 FROM numbers(100)"
        )
    core.execute(view)
    core.execute("SYSTEM WAIT VIEW humans")
    asked = f"SELECT sum(humans) FROM ({question})"
    for sql, count in {
        asked: 100,
        "SELECT sum(humans) FROM humans": 100,
        "SELECT sum(humans) FROM inserted": 200,  # What the page warns of.
    }.items():
        assert core.execute(sql) == [(count,)], sql
