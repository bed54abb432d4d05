"""From shadow to rows: the real ClickHouse core reads from a real Kafka, each record once."""

from __future__ import annotations

from calendar import isleap
from collections import Counter
from dataclasses import replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final

import orjson
import pytest
from confluent_kafka import Producer
from hypothesis import example, given
from hypothesis import strategies as st

from domination import check
from domination.clickhouse import schema
from domination.clickhouse.report import report
from domination.errors import Exit
from domination.ratings import Rating
from domination.shadow import ShadowType, judge
from domination.shadows import encode
from domination.shadows import judge as judge_all
from harness.processes import eventually
from harness.records import humans
from harness.shadow_topic import TIME, hold, reading, settings_of, shadow, shadows, write
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
    from harness.pipeline import Pipeline

GOOD: Final = [
    b'{"type":%d,"unique_id":"good %d","emit_timestamp":"%b"}' % (number % 4, number, stamp)
    for number, stamp in enumerate(
        [TIME.encode(), b"2024-02-29 00:00:00.000", b"1999-12-31 23:59:59.001", TIME[:19].encode()]
    )
] + [b'{"emit_timestamp":"%b","more":{"a":[1]},"unique_id":"\\u0000\\"","type":2}' % TIME.encode()]


NOT_JSON, NOT_AN_OBJECT = "not one JSON value", "not an object"
TYPE, UNIQUE_ID = "type is not 0, 1, 2 or 3", "unique_id is not a non-empty string"
STAMP = "emit_timestamp is not YYYY-MM-DD hh:mm:ss.mmm"
BROKEN: Final[dict[bytes, str]] = {
    b" ": NOT_JSON,
    b"text": NOT_JSON,
    shadow()[:-3]: NOT_JSON,
    shadow() + shadow(2, "y"): NOT_JSON,
    shadow() + b"\n" + shadow(2, "y"): NOT_JSON,
    shadow() + b" text": NOT_JSON,
    b'{"type":1,"unique_id":"\xff","emit_timestamp":"%b"}' % TIME.encode(): NOT_JSON,
    b'{"type":1,"unique_id":"\\ud800","emit_timestamp":"%b"}' % TIME.encode(): NOT_JSON,
    b"[" * 5_000: NOT_JSON,
    b"text " * 180_000: NOT_JSON,
    b"[%b]" % shadow(): NOT_AN_OBJECT,
    b"null": NOT_AN_OBJECT,
    b"3": NOT_AN_OBJECT,
    b'"Sha"': NOT_AN_OBJECT,
    b"{}": TYPE,
    b'{"unique_id":"x","emit_timestamp":"%b"}' % TIME.encode(): TYPE,
    **{shadow(kind): TYPE for kind in (4, -1, 257, 2**40, "1", "Sha", True, 1.0, 1.5, None, [1])},
    b'{"type":1,"emit_timestamp":"%b"}' % TIME.encode(): UNIQUE_ID,
    **{shadow(unique_id=value): UNIQUE_ID for value in ("", None, 5, ["x"], {"x": 1})},
    b'{"type":1,"unique_id":"x"}': STAMP,
    **{
        shadow(time=value): STAMP
        for value in (
            *("", "soon", "2026-02-31 00:00:00.000", "2026-13-01 00:00:00.000", "2026-01-01"),
            *("2026-01-01 24:00:00.000", "0001-01-01 00:00:00.000", "9999-01-01 00:00:00.000"),
            *("2026-01-01T00:00:00.000Z", "1700000000", 1700000000, None, TIME + " text"),
        )
    },
}


# A profile holds for everybody on a server, and for what ClickHouse reads from Kafka.
PROFILE: Final[dict[str, object]] = {
    "allow_simdjson": 0,
    "compatibility": "23.8",
    "limit": 1,
    "offset": 1,
    "date_time_64_output_format_cut_trailing_zeros_align_to_groups_of_thousands": 1,
    "max_memory_usage": 1,
    "max_partitions_per_insert_block": 1,
    "max_result_rows": 1,
    "max_rows_to_read": 1,
}

SHORT = [value for value in BROKEN if len(value) < 10_000]


def test_100_000_ratings_become_rows_counted_as_an_independent_count_does(
    pipeline: Pipeline, core: ClickHouseCore
) -> None:
    pipeline.create()
    core.apply(settings_of(pipeline))
    worker = pipeline.worker()
    records = list(humans(100_000))
    pipeline.send(records)
    pipeline.drained()
    assert worker.stop() == 0
    eventually(lambda: core.count("shadow") >= len(records), what="all rows")
    judged = Counter(judge(orjson.loads(value or b"")["rating"]).label for value, _ in records)
    found = report(core)
    assert found.counts == dict(judged.most_common())
    assert found.broken == 0
    ((rows, different),) = core.execute("SELECT count(), uniqExact(unique_id) FROM shadow FINAL")
    assert rows == different == len(records)


@pytest.mark.parametrize("profile", [{}, PROFILE], ids=["usual", "unusual"])
def test_what_is_no_shadow_is_kept_whole_with_its_reason_and_stops_nothing(
    pipeline: Pipeline, core: ClickHouseCore, profile: dict[str, object]
) -> None:
    pipeline.create()
    core.start_with(profile)
    core.apply(settings_of(pipeline))
    # A value that is empty, or a tombstone, leaves no trace: ClickHouse's own reader drops it.
    write(pipeline, [*GOOD, *BROKEN, *BROKEN, b"", None, *GOOD])
    eventually(lambda: core.count("shadow") == 2 * len(GOOD), what="good rows")
    eventually(lambda: core.count("shadow_broken") == 2 * len(BROKEN), what="broken records")
    kept = core.execute(
        "SELECT kafka_partition, kafka_offset, hex(raw), error, kafka_topic"
        " FROM shadow_broken FINAL"
    )
    sent = {
        (each.partition(), each.offset()): each.value() or b""
        for each in pipeline.read(pipeline.output).records
    }
    for partition, offset, raw, error, topic in kept:
        value = bytes.fromhex(raw)
        assert (sent[partition, offset], BROKEN[value], pipeline.output) == (value, error, topic)
    rows = core.execute(
        "SELECT unique_id, toString(type), toString(emit_timestamp) FROM shadow FINAL"
    )
    assert Counter(rows) == Counter(map(_row, [*GOOD, *GOOD]))


def _row(value: bytes) -> tuple[str, str, str]:
    sent = orjson.loads(value)
    stamp = sent["emit_timestamp"]
    return sent["unique_id"], ShadowType(sent["type"]).label, stamp + ".000"[len(stamp) - 19 :]


def test_records_that_are_read_again_are_the_same_rows(
    pipeline: Pipeline, core: ClickHouseCore
) -> None:
    pipeline.create()
    settings = settings_of(pipeline)
    core.apply(settings)
    write(pipeline, [*shadows(1000), *BROKEN])
    eventually(lambda: core.count("shadow") == 1000)
    eventually(lambda: core.count("shadow_broken") == len(BROKEN))
    # As after a crash between the insert and the commit of the offsets, but of all of them.
    again = core.apply(replace(settings, clickhouse_group=f"again-{pipeline.group}"))
    assert again[schema.STREAM].startswith("created again")
    eventually(lambda: core.execute("SELECT count() FROM shadow") >= [(2000,)], what="read again")
    eventually(lambda: core.execute("SELECT count() FROM shadow_broken") >= [(2 * len(BROKEN),)])
    assert core.count("shadow") == 1000
    assert core.count("shadow_broken") == len(BROKEN)
    assert report(core).total == 1000


@pytest.mark.parametrize("killed", [False, True], ids=["stopped", "killed"])
def test_a_clickhouse_that_was_away_goes_on_and_loses_nothing(
    pipeline: Pipeline, core: ClickHouseCore, killed: bool
) -> None:
    pipeline.create()
    core.apply(settings_of(pipeline))
    values = shadows(60_000)
    write(pipeline, values[:50_000])
    eventually(lambda: core.count("shadow") > 0)
    core.kill() if killed else core.stop()
    write(pipeline, values[50_000:])
    core.start()
    eventually(lambda: core.count("shadow") >= 60_000, what="all rows")
    ((rows, different),) = core.execute("SELECT count(), uniqExact(unique_id) FROM shadow FINAL")
    assert rows == different == 60_000


def test_records_of_an_aborted_transaction_never_become_rows(
    pipeline: Pipeline, core: ClickHouseCore
) -> None:
    pipeline.create()
    core.apply(settings_of(pipeline))
    producer = Producer(
        {"bootstrap.servers": pipeline.bootstrap_servers, "transactional.id": pipeline.group}
    )
    producer.init_transactions(30)
    for number in range(6):
        producer.begin_transaction()
        producer.produce(pipeline.output, shadow(number % 2, str(number)))
        producer.flush()
        if number % 2:
            producer.abort_transaction(30)
        else:
            producer.commit_transaction(30)
    write(pipeline, [shadow(2, "last")])
    eventually(lambda: core.count("shadow") == 4)
    found = {unique_id for (unique_id,) in core.execute("SELECT unique_id FROM shadow")}
    assert found == {"0", "2", "4", "last"}


def test_apply_changes_nothing_that_is_as_it_should_be(
    pipeline: Pipeline, core: ClickHouseCore
) -> None:
    pipeline.create()
    settings = settings_of(pipeline)
    names = [name for name, _ in schema.statements(settings)]
    assert core.apply(settings) == dict.fromkeys(names, "created")
    assert core.apply(settings) == dict.fromkeys(names, "exists, not changed")


def test_a_stream_of_other_brokers_is_made_again_and_goes_on(
    pipeline: Pipeline, core: ClickHouseCore
) -> None:
    pipeline.create()
    settings = settings_of(pipeline)
    core.apply(settings_of(pipeline, brokers="it's.invalid:1"))
    write(pipeline, shadows(10))
    findings = dict(check.of_clickhouse(settings, core, "here"))
    tables = findings["tables"]
    assert tables
    assert "creates it again" in str(tables)
    made = core.apply(settings)
    assert made[schema.STREAM] == made[schema.CONSUMER] == "created again, with other settings"
    eventually(lambda: core.count("shadow") == 10)
    assert core.count("shadow") == 10


def test_check_finds_what_is_missing_and_how_far_behind_it_is(
    pipeline: Pipeline, core: ClickHouseCore
) -> None:
    pipeline.create()
    settings = settings_of(pipeline)
    before = dict(check.of_clickhouse(settings, core, "here"))
    assert before["async_load_databases"] is None
    missing = before["tables"]
    assert missing
    assert missing.exit_code is Exit.SETTING
    assert all(name in str(missing) for name, _ in schema.statements(settings))
    core.apply(settings)
    write(pipeline, shadows(100))
    eventually(lambda: core.count("shadow") == 100)

    def well() -> bool:
        found = dict(check.of_clickhouse(settings, core, "here"))
        return (
            set(found.values()) == {None}
            and f"group {settings.clickhouse_group}, 0 records behind" in found
        )

    eventually(well, what="no finding")


def test_a_consumer_that_finds_no_broker_is_a_finding(
    pipeline: Pipeline, core: ClickHouseCore
) -> None:
    pipeline.create()
    lost = settings_of(pipeline, brokers="127.0.0.1:1")
    core.apply(lost)

    def found() -> bool:
        finding = dict(check.of_clickhouse(lost, core, "here"))[f"consumer of {schema.STREAM}"]
        return "has no partition: " in str(finding) and "Connection refused" in str(finding)

    eventually(found, what="what the consumer met")


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
