"""A topic that is made again: its records are rows of their own, beside those of before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domination.clickhouse import queries, schema
from domination.settings import Settings
from harness.shadow_topic import RECORDS, hold, reading, shadow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.clickhouse_core import ClickHouseCore


def test_records_of_a_topic_that_was_made_again_are_rows_of_their_own(
    core: ClickHouseCore,
) -> None:
    core.execute(RECORDS)
    for name, sql in schema.statements(Settings()):
        if name not in {schema.STREAM, schema.CONSUMER}:
            core.execute(sql)
    # The one time that two lives may share is that of their records: foreign programs choose it.
    lives = [
        ([each for number in range(5) for each in (shadow(1, f"old {number}"), b"old")], "00.001"),
        ([each for number in range(50) for each in (shadow(1, f"new {number}"), b"new")], "00.001"),
        ([each for number in range(2) for each in (shadow(1, f"new {number}"), b"new")], "00.002"),
    ]
    for values, second in lives:
        for _ in range(2):
            read(core, values, f"2026-01-01 00:00:{second}")
    for table in ("shadow", "shadow_broken"):
        assert core.count(table) == 5 + 50 + 2
    assert queries.broken(core) == 57
    assert sum(queries.counts(core).values()) == len(queries.latest(core, 100)) == 57


def read(core: ClickHouseCore, values: Sequence[bytes], timestamp: str) -> None:
    """Let ClickHouse store records that came with a timestamp, as its stream would."""
    hold(core, values, timestamp)
    core.execute(f"INSERT INTO shadow_inbox {reading()}")
