"""What ClickHouse makes of a record: the worker's form and any other are judged alike."""

from __future__ import annotations

from calendar import isleap
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final

import orjson
from hypothesis import example, given
from hypothesis import strategies as st

from domination.ratings import Rating
from domination.shadow import judge
from domination.shadows import encode
from domination.shadows import judge as judge_all
from harness.shadow_samples import BROKEN, GOOD
from harness.shadow_topic import TIME, hold, reading
from harness.strategies import (
    ODD_KINDS,
    ODD_TEXTS,
    near_shadows,
    ratings,
    shadow_form,
    shadow_forms,
    unique_ids,
    values,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.clickhouse_core import ClickHouseCore

SHORT: Final = [value for value in BROKEN if len(value) < 10_000]


@given(st.lists(st.tuples(ratings, unique_ids), max_size=8))
def test_what_the_worker_writes_is_the_same_shadow_in_clickhouse(
    parser: ClickHouseCore, people: list[tuple[int, str]]
) -> None:
    now = datetime(2026, 2, 28, 23, 59, 59, 999_000, timezone.utc)
    written = encode(judge_all([Rating(*each) for each in people]), now)
    assert parse(parser, written) == [
        ("", judge(rating).value, unique_id, TIME) for rating, unique_id in people
    ]


@given(
    st.lists(
        shadow_forms | near_shadows | values.filter(bool) | st.sampled_from([*GOOD, *SHORT]),
        max_size=20,
    )
)
@example([shadow_form((b"1", text, TIME.encode())) for text in ODD_TEXTS])
@example([shadow_form((kind, b"x", TIME.encode())) for kind in ODD_KINDS])
def test_any_bytes_are_a_shadow_or_broken_alike_in_both_ways_and_never_a_row_of_defaults(
    parser: ClickHouseCore, records: list[bytes]
) -> None:
    # The space changes no JSON, and makes that of the worker's own form one of another's.
    both = parse(parser, [*records, *(record + b" " for record in records)])
    parsed, carefully = both[: len(records)], both[len(records) :]
    assert parsed == carefully
    assert len(parsed) == len(records)
    for value, (error, kind, unique_id, stamp) in zip(records, parsed, strict=True):
        if error:
            assert value not in GOOD
            continue
        sent: Any = orjson.loads(value)
        assert (sent["type"], sent["unique_id"]) == (kind, unique_id)
        assert stamp.startswith(sent["emit_timestamp"])


def test_each_day_that_a_year_has_or_has_not_is_judged_alike_in_both_ways(
    parser: ClickHouseCore,
) -> None:
    years = [1899, 1900, 1969, 1970, 2000, 2023, 2024, 2100, 2199, 2200, 2300]
    parser.execute("TRUNCATE TABLE records")
    parser.execute(
        'INSERT INTO records SELECT format(\'{{"type":1,"unique_id":"x","emit_timestamp":"{}-{}-{}'
        " 23:59:59.999\"}}{}', year, leftPad(toString(number % 14), 2, '0'),"
        " leftPad(toString(intDiv(number, 14)), 2, '0'), space), 'shadow', 0, number, 0"
        f" FROM numbers(14 * 33) ARRAY JOIN {years} AS year ARRAY JOIN ['', ' '] AS space"
    )
    judged = "(error, type, unique_id, emit_timestamp)"
    found = parser.execute(
        f"SELECT countIf(error = ''), count(), uniqExact(trimRight(raw)),"
        f" uniqExact(trimRight(raw), {judged}) FROM ({reading()})"
    )
    # ClickHouse has no times before 1900 and after 2299.
    days = sum(365 + isleap(year) for year in years[1:-1])
    assert found == [(2 * days, 2 * 11 * 14 * 33, 11 * 14 * 33, 11 * 14 * 33)]


def test_what_the_worker_writes_has_its_own_form_unless_it_has_escapes(
    parser: ClickHouseCore,
) -> None:
    people = [Rating(rating, unique_id) for rating in range(15) for unique_id in ("x", "ünï 😀 'x")]
    written = encode(judge_all([*people, Rating(1, 'a "quote"')]), datetime.now(timezone.utc))
    hold(parser, written)
    cheap = reading().replace("\nSELECT\n", "\nSELECT own,\n")
    owns = parser.execute(f"SELECT own FROM ({cheap}) ORDER BY kafka_offset")
    assert owns == [(1,)] * 30 + [(0,)]


def parse(core: ClickHouseCore, values: Sequence[bytes]) -> list[tuple[Any, ...]]:
    """Let the consumer's own statement read records: their errors, types, ids and times."""
    hold(core, values)
    return core.execute(
        "SELECT error, type, unique_id, toString(emit_timestamp)"
        f" FROM ({reading()}) ORDER BY kafka_offset"
    )
