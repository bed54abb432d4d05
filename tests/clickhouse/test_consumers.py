"""With how many consumers ClickHouse reads: as many as the setting says, on an older stream too."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from domination import check
from domination.clickhouse import queries, schema
from domination.settings import Settings

if TYPE_CHECKING:
    from harness.clickhouse_core import ClickHouseCore

NOWHERE: Final = Settings(bootstrap_servers="127.0.0.1:1")
AGAIN: Final = "created again, with other settings"


def test_a_stream_of_before_is_told_and_made_again_with_the_consumers_of_the_setting(
    core: ClickHouseCore,
) -> None:
    for _, sql in schema.statements(NOWHERE):
        core.execute(re.sub(r"kafka_num_consumers.*,\s+", "", sql))
    assert "creates it again" in str(dict(check.of_clickhouse(NOWHERE, core, "here"))["tables"])
    assert core.apply(NOWHERE)[schema.STREAM] == AGAIN
    assert "kafka_num_consumers = 2" in queries.tables(core)[schema.STREAM]
    assert core.apply(NOWHERE)[schema.STREAM] == "exists, not changed"
    assert core.apply(replace(NOWHERE, clickhouse_consumers=16))[schema.STREAM] == AGAIN
    assert "kafka_num_consumers = 16" in queries.tables(core)[schema.STREAM]
