"""What the monitor sees, without a browser: rates, silence, and what is exact."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from domination.clickhouse import schema
from domination.errors import DominationError, Exit
from domination.monitor.probe import Probe
from domination.monitor.rate import Rate
from domination.monitor.rows import BUCKET_SECONDS, Tables
from domination.settings import Settings
from harness.processes import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.clickhouse_core import ClickHouseCore

NOW = 1_780_000_000


def test_a_rate_is_the_mean_of_the_last_seconds_and_unknown_after_a_gap() -> None:
    rate = Rate(10, kept=3)
    assert rate.add(0, 1_000) is None
    assert [rate.add(moment, 1_000 + moment * 50) for moment in (1, 5, 10)] == [50, 50, 50]
    assert rate.add(15, 1_500) == 25
    assert rate.add(100, 9_000) is None
    assert rate.add(101, 8_000) == 0
    assert list(rate.history) == [(10, 50), (15, 25), (101, 0)]


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

    probe = Probe("It", look, clock=lambda: now[0], pause_seconds=0)
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


def test_a_source_that_is_silent_is_down_since_it_was_asked() -> None:
    asked, silent = threading.Event(), threading.Event()
    now = [100.0]

    def look() -> bool:
        asked.set()
        return silent.wait()

    probe = Probe("It", look, clock=lambda: now[0])
    assert asked.wait(30)
    now[0] = 109
    assert probe.reading.down_since is None
    now[0] = 111
    told = probe.reading
    assert (told.down_since, told.why) == (100, "it does not answer")
    silent.set()
    eventually(lambda: probe.reading.up)
    probe.end()


@pytest.mark.parametrize("exact", [True, False])
def test_what_is_counted_as_exact_is_what_final_counts(
    core: ClickHouseCore, *, exact: bool
) -> None:
    for name, sql in schema.statements(Settings()):
        if name in {"shadow", "shadow_broken"}:
            core.execute(sql)
    core.execute("SYSTEM STOP MERGES")
    insert = (
        "INSERT INTO shadow SELECT number % 4, toString(number),"
        f" toDateTime64({NOW} - number, 3, 'UTC'), 0, number FROM numbers(1000)"
    )
    for _ in range(2):
        core.execute(insert)
    rows = Tables(core, clock=lambda: NOW + 1.5, exact=2_000 if exact else 1_999).look()
    each = 250 if exact else 500
    assert rows.totals.exact is exact
    assert set(rows.totals.counts.values()) == {each}
    assert (rows.age, rows.totals.broken) == (1.5, 0)
    assert [human.unique_id for human in rows.latest] == list(map(str, range(8)))
    # Five whole minutes up to what is still to come, of rows that came twice.
    spans = [sum(found.values()) for _, found in rows.totals.over_time]
    assert spans == [2 * BUCKET_SECONDS] * 60
