"""From shadow to rows: the real ClickHouse core reads from a real Kafka, each record once."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import orjson
import pytest
from confluent_kafka import Producer

from domination import check
from domination.clickhouse import schema
from domination.clickhouse.report import report
from domination.errors import Exit
from domination.shadow import ShadowType, judge
from harness.processes import eventually
from harness.records import humans
from harness.shadow_samples import BROKEN, GOOD
from harness.shadow_topic import settings_of, shadow, shadows, write

if TYPE_CHECKING:
    from harness.clickhouse_core import ClickHouseCore
    from harness.pipeline import Pipeline

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
