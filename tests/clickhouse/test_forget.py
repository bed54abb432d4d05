"""Forgetting a human: which rows go, which stay, and what is said of the topics."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NoReturn

import pytest
from confluent_kafka import Producer

from domination.cli.main import main
from domination.clickhouse import queries, schema
from domination.clickhouse.queries import HumansRows
from domination.errors import Exit
from domination.forget import forget
from domination.kafka.faults import UnavailableError
from domination.kafka.retention import last
from domination.settings import Settings, from_environment
from harness.processes import PATIENT_SECONDS
from harness.records import humans
from harness.shadow_topic import TIME, shadow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.clickhouse_core import ClickHouseCore
    from harness.pipeline import Pipeline

DAY: Final = 86_400_000
YEAR_2090: Final = 3_786_912_000_000
"""In milliseconds since 1970."""
ODD: Final = "it's \"é\" \\' %s\n; --"
"""An id that ends a literal of SQL, if it can, and that JSON writes in three ways."""


def store(core: ClickHouseCore, ids: Sequence[str], broken: Sequence[bytes]) -> None:
    """Make the two tables, and store shadows and broken records in two copies each."""
    made = dict(schema.statements(Settings()))
    for table in (schema.SHADOW, schema.BROKEN):
        core.execute(made[table])
    for _ in range(2):
        for number, each in enumerate(ids):
            values = f"{queries.literal(each)}, '{TIME}', {number}"
            core.execute(
                f"INSERT INTO shadow (unique_id, emit_timestamp, kafka_offset) VALUES ({values})"
            )
        for number, raw in enumerate(broken):
            core.execute(
                "INSERT INTO shadow_broken (kafka_offset, raw) "
                f"VALUES ({number}, unhex('{raw.hex()}'))"
            )


@pytest.mark.parametrize("forgotten", ["x", ODD])
def test_the_rows_of_one_human_go_in_all_copies_and_no_others(
    core: ClickHouseCore, forgotten: str
) -> None:
    written = json.dumps({"unique_id": forgotten}).encode()
    mine = [
        shadow(9, forgotten),
        shadow(1, forgotten, "soon"),
        b'{"type":9,"more":[1],"unique_id":"%s"}'
        % "".join(map(r"\u{:04x}".format, map(ord, forgotten))).encode(),
    ]
    mentions = [written * 2, b"[%b]" % written, b'{"a":%b,"unique_id":"y"}' % written, written[:-1]]
    others = [shadow(9, "other"), shadow(9, ""), shadow(9, None), b"{}", b" ", b"\xff", b"null"]
    store(core, [forgotten, "other", forgotten, f"{forgotten}z"], mine + mentions + others)
    assert queries.humans_rows(core, forgotten) == HumansRows(2, len(mine), len(mentions))
    queries.delete_human(core, forgotten)
    assert queries.humans_rows(core, forgotten) == HumansRows(0, 0, len(mentions))
    left = {each for (each,) in core.execute("SELECT unique_id FROM shadow")}
    assert left == {"other", f"{forgotten}z"}
    assert core.count("shadow") == 2
    assert core.count("shadow_broken") == len(mentions + others)


def test_first_it_only_counts_and_it_says_what_the_topics_hold_and_until_when(
    pipeline: Pipeline, core: ClickHouseCore
) -> None:
    pipeline.create(
        partitions=2,
        source={"retention.ms": "-1"},
        output={
            "retention.ms": str(7 * DAY),
            "segment.ms": str(DAY),
            "message.timestamp.after.max.ms": str(2**63 - 1),
        },
    )
    pipeline.send(humans(10))
    producer = Producer({"bootstrap.servers": pipeline.bootstrap_servers})
    producer.produce(pipeline.output, shadow(), partition=1, timestamp=YEAR_2090)
    assert producer.flush(PATIENT_SECONDS) == 0
    store(core, ["x", "y"], [shadow(9, "x"), b"x"])
    settings = from_environment(pipeline.environment)
    counted = list(forget(core, settings, "x", yes=False))
    until = "2090-01-09 00:10 UTC (retention.ms is 604800000, segment.ms is 86400000)"
    assert counted[:6] == [
        "          1 rows of shadow would be deleted",
        "          1 rows of shadow_broken would be deleted",
        "          1 other rows of shadow_broken contain this text, and stay",
        f"{pipeline.input}: at most 10 records of all humans, for ever (retention.ms is -1)",
        f"{pipeline.output}: at most 1 records of all humans, until {until}",
        f"{pipeline.dead}: no records",
    ]
    assert counted[-1] == "nothing was deleted; add --yes to delete the rows"
    assert queries.humans_rows(core, "x") == HumansRows(1, 1, 1)
    missing = replace(settings, dead_letter_topic=f"{pipeline.dead}-missing")
    told = list(forget(core, missing, "x", yes=True))
    assert told[0] == "          1 rows of shadow deleted"
    assert told[5] == f"{missing.dead_letter_topic}: no records"
    assert "its row comes back" in told[-1]
    assert queries.humans_rows(core, "x") == HumansRows(0, 0, 1)


def silent(*_asked: object) -> NoReturn:
    """Give no answer, in place of a Kafka."""
    raise UnavailableError


def test_nothing_is_deleted_where_kafka_does_not_say_what_its_topics_hold(
    core: ClickHouseCore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(core, ["x"], [])
    monkeypatch.setattr("domination.forget.kept", silent)
    with pytest.raises(UnavailableError):
        list(forget(core, Settings(), "x", yes=True))
    assert queries.humans_rows(core, "x") == HumansRows(1, 0, 0)


@pytest.mark.parametrize(
    ("policy", "retention", "until", "why"),
    [
        (
            "delete",
            7 * DAY,
            1000 + 8 * DAY + 600_000,
            "retention.ms is 604800000, segment.ms is 86400000",
        ),
        ("compact,delete", 0, 1000 + DAY + 600_000, "retention.ms is 0, segment.ms is 86400000"),
        ("delete", -1, None, "retention.ms is -1"),
        ("compact", 7 * DAY, None, "cleanup.policy is compact"),
        ("", 7 * DAY, None, "cleanup.policy is empty"),
    ],
)
def test_a_record_is_gone_when_its_segment_is_full_and_old(
    policy: str, retention: int, until: int | None, why: str
) -> None:
    configuration = {
        "cleanup.policy": policy,
        "retention.ms": str(retention),
        "segment.ms": str(DAY),
    }
    assert last(configuration, 1000) == (until, why)


@pytest.mark.parametrize("unique_id", ["", "\udcff"])
def test_an_id_that_nobody_can_have_is_refused(
    unique_id: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["forget", unique_id, "--yes"]) == Exit.USAGE
    assert "UNIQUE_ID" in capsys.readouterr().err
