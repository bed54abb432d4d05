"""What the monitor sees, without a browser: rates, silence, and what is exact."""

from __future__ import annotations

import threading
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from domination.clickhouse import schema
from domination.clickhouse.faults import NoServerError, TooOldError
from domination.clickhouse.report import report
from domination.errors import DominationError, Exit
from domination.log import logger
from domination.monitor.page import draw
from domination.monitor.probe import Probe
from domination.monitor.rate import Rate
from domination.monitor.reading import Reading, Readings
from domination.monitor.rows import BUCKET_SECONDS, Rows, Tables, Totals
from domination.monitor.text import counted_at
from domination.monitor.topics import TopicsProbe
from domination.settings import Settings, from_environment
from harness.processes import eventually
from harness.records import mixed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.clickhouse_core import ClickHouseCore
    from harness.pipeline import Pipeline

NOW = 1_780_000_000


def test_a_rate_is_the_mean_of_the_last_seconds_and_unknown_after_a_gap() -> None:
    rate = Rate(10, kept=3)
    assert rate.add(0, 1_000) is None
    assert [rate.add(moment, 1_000 + moment * 50) for moment in (1, 5, 10)] == [50, 50, 50]
    assert rate.add(15, 1_500) == 25
    assert rate.add(100, 9_000) is None
    assert rate.add(101, 8_000) == 0
    assert list(rate.history) == [(10, 50), (15, 25), (101, 0)]
    assert rate.dated(102, NOW) == ((NOW - 92, 50), (NOW - 87, 25), (NOW - 1, 0))


def test_a_source_that_fails_is_down_since_then_and_keeps_what_it_told() -> None:
    answers: Iterator[int | Exception] = iter(
        [1, DominationError(Exit.UNAVAILABLE, "no broker"), ValueError("a\nb"), 2, 3]
    )
    goes_on = threading.Semaphore(0)
    now = [1.0]

    def look() -> int:
        goes_on.acquire()
        now[0] += 1
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    probe = Probe("It", look, wall=lambda: now[0], pause_seconds=0)
    try:
        assert not probe.reading.up
        goes_on.release()
        eventually(lambda: probe.reading.up)
        told = probe.reading
        goes_on.release()
        eventually(lambda: not probe.reading.up)
        first = probe.reading
        assert (first.data, first.at, first.why) == (1, told.at, "no broker")
        goes_on.release()
        eventually(lambda: probe.reading.why == "ValueError: a")
        assert probe.reading.down_since == first.down_since
        goes_on.release()
        eventually(lambda: probe.reading.up)
        assert probe.reading.data == 2
    finally:
        probe.end()
        goes_on.release()
        probe.join()


def test_a_source_that_answers_but_is_of_no_use_is_not_called_down(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A command that has run in this process before has set the log up for itself.
    monkeypatch.setattr(logger, "handlers", [])
    monkeypatch.setattr(logger, "propagate", True)
    errors = [TooOldError("too old"), NoServerError("nobody")]
    looks, now = iter(errors), [float(NOW)]
    goes_on = threading.Semaphore(0)

    def look() -> Rows:
        goes_on.acquire()
        now[0] += 1
        raise next(looks)

    probe: Probe[Rows] = Probe("ClickHouse", look, wall=lambda: now[0], pause_seconds=0)
    told = []
    try:
        for error in errors:
            goes_on.release()
            eventually(lambda why=str(error): probe.reading.why.startswith(why))  # type: ignore[misc]
            told.append(draw("status", Readings(Reading("Kafka"), probe.reading)))
    finally:
        probe.end()
        goes_on.release()
        probe.join()
    assert "unreadable since 20:26:40 UTC: too old" in told[0]
    assert "down since 20:26:41 UTC: nobody" in told[1]
    assert caplog.messages[0] == "ClickHouse is unreadable: too old"
    assert caplog.messages[1].startswith("ClickHouse is down: nobody")


def test_a_source_that_is_silent_is_down_since_it_was_asked() -> None:
    asked, silent = threading.Event(), threading.Event()
    now = [100.0]
    wall = [float(NOW)]

    def look() -> bool:
        asked.set()
        return silent.wait()

    probe = Probe("It", look, clock=lambda: now[0], wall=lambda: wall[0])
    assert asked.wait(30)
    wall[0] -= 3600  # The clock is set while the source is silent.
    now[0] = 109
    assert probe.reading.down_since is None
    now[0] = 111
    told = probe.reading
    assert (told.down_since, told.why) == (NOW, "it does not answer")
    silent.set()
    eventually(lambda: probe.reading.up)
    probe.end()


@pytest.fixture
def tables(core: ClickHouseCore) -> ClickHouseCore:
    """Give a ClickHouse with the tables that the monitor reads."""
    for name, sql in schema.statements(Settings()):
        if name in {"shadow", "shadow_broken"}:
            core.execute(sql)
    return core


def store(database: ClickHouseCore, count: int, newest: str, first: int = 0) -> None:
    """Store rows of all types, the newest first, a second between two."""
    database.execute(
        f"INSERT INTO shadow (* EXCEPT received) SELECT number % 4, toString({first} + number),"
        f" {newest} - number, 0, {first} + number, 0 FROM numbers({count})"
    )


def moment(seconds: int) -> str:
    return f"toDateTime64({seconds}, 3, 'UTC')"


@pytest.mark.parametrize("exact", [True, False])
def test_what_is_counted_as_exact_is_what_final_counts(
    tables: ClickHouseCore, *, exact: bool
) -> None:
    tables.execute("SYSTEM STOP MERGES")
    for _ in range(2):
        store(tables, 1_000, moment(NOW))
    rows = Tables(tables, wall=lambda: NOW + 1.5, exact=2_000 if exact else 1_999).look()
    each = 250 if exact else 500
    assert rows.totals.exact is exact
    assert set(rows.totals.counts.values()) == {each}
    assert (rows.age, rows.totals.broken) == (1.5, 0)
    assert [human.unique_id for human in rows.latest] == list(map(str, range(8)))
    # Five whole minutes up to what is still to come, of rows that came twice.
    spans = [sum(found.values()) for _, found in rows.totals.over_time]
    assert spans == [2 * BUCKET_SECONDS] * 60


def test_rows_from_the_future_are_told_and_hide_nothing(tables: ClickHouseCore) -> None:
    store(tables, 20, "toDateTime64('2299-12-31 23:59:59', 3, 'UTC')", first=5_000)
    store(tables, 20, moment(NOW + 3_000), first=6_000)
    alone = Tables(tables, wall=lambda: NOW).look()
    assert (alone.age, alone.latest, alone.totals.ahead) == (None, (), 40)
    store(tables, 10, moment(NOW - 60))
    store(tables, 1, moment(NOW + 4), first=7_000)  # By a clock that is only a little ahead.
    rows = Tables(tables, wall=lambda: NOW).look()
    assert (rows.age, rows.totals.ahead) == (0, 40)
    assert [each.unique_id for each in rows.latest] == ["7000", *map(str, range(7))]
    assert Tables(tables, wall=lambda: NOW + 50).look().age == 46
    assert sum(rows.totals.counts.values()) == 51
    html = draw("humans", Readings(Reading("Kafka"), Reading("ClickHouse", rows, NOW)))
    assert "40 rows are from the future" in html


def test_the_report_tells_rows_from_the_future_apart(tables: ClickHouseCore) -> None:
    store(tables, 20, "toDateTime64('2299-12-31 23:59:59', 3, 'UTC')", first=5_000)
    alone = report(tables, wall=lambda: NOW)
    assert (alone.total, alone.ahead, alone.first, alone.last) == (20, 20, None, None)
    store(tables, 10, moment(NOW))
    found = report(tables, wall=lambda: NOW)
    assert (found.total, found.ahead) == (30, 20)
    assert (found.first, found.last) == ("2026-05-28 20:26:31.000", "2026-05-28 20:26:40.000")
    assert "from the future: 20 of them; a clock is wrong" in found.lines()


def test_a_clock_that_is_set_back_stops_neither_rate_nor_totals(tables: ClickHouseCore) -> None:
    now, wall = [0.0], [float(NOW)]
    monitor = Tables(tables, clock=lambda: now[0], wall=lambda: wall[0])
    monitor.look()
    store(tables, 10, moment(NOW))
    now[0], wall[0] = 5.0, NOW + 5 - 3_600
    rows = monitor.look()
    assert (rows.rate, sum(rows.totals.counts.values())) == (2, 10)
    assert (rows.rates, rows.counted_ago) == (((wall[0], 2),), 0)
    assert rows.totals.over_time[-1][0] < wall[0]


def test_the_rate_of_a_topic_goes_on_when_the_clock_is_set_back(pipeline: Pipeline) -> None:
    pipeline.create()
    pipeline.send(mixed(10))
    before = len(pipeline.sent)
    now, wall = [0.0], [float(NOW)]
    settings = from_environment(pipeline.environment)
    probe = TopicsProbe(settings, lags=lambda: None, clock=lambda: now[0], wall=lambda: wall[0])
    with closing(probe):
        assert probe.look().rate is None
        pipeline.send(mixed(100))
        now[0], wall[0] = 5.0, NOW + 5 - 3_600
        topics = probe.look()
    assert topics.rate == (len(pipeline.sent) - before) / 5
    assert topics.rates == ((wall[0], topics.rate),)


def test_a_count_is_told_with_its_time_by_the_clock_of_the_reading() -> None:
    totals = Totals({}, exact=True, broken=0, ahead=0, over_time=())
    rows = Rows(None, (), None, (), totals, counted_ago=61.0)
    assert counted_at(Readings(Reading("Kafka"), Reading("ClickHouse", rows, 3_661))) == (
        "as of 01:00:00 UTC"
    )
    fresh = rows._replace(counted_ago=1.0)
    assert not counted_at(Readings(Reading("Kafka"), Reading("ClickHouse", fresh, 3_661)))
