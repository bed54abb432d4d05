"""Whether all is well, as the page answers it, and where its charts begin: without a browser."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from domination.monitor import charts
from domination.monitor.health import health
from domination.monitor.page import draw
from harness.readings import STATES, idle, lag, rates, topics, well

if TYPE_CHECKING:
    from domination.monitor.reading import Readings
    from domination.monitor.topics import Lag

NOW = 1_780_000_000


@pytest.mark.parametrize(
    ("state", "word"),
    [
        ("starting", "Starting"),
        ("idle", "Well"),
        ("well", "Well"),
        ("behind", "Behind"),
        ("no Kafka", "Down"),
        ("no ClickHouse", "Down"),
        ("unreadable", "Unreadable"),
    ],
)
def test_whether_all_is_well_is_answered_in_a_word(state: str, word: str) -> None:
    assert health(STATES[state](NOW)).word == word


def waiting(worker: Lag, clickhouse: Lag, rate: float) -> Readings:
    state = topics(NOW, worker, clickhouse, {})._replace(rates=rates(NOW, rate))
    return well(NOW)._replace(kafka=well(NOW).kafka.__class__("Kafka", state, NOW))


def test_what_waits_is_much_where_it_is_more_than_ten_seconds_of_ratings() -> None:
    assert health(waiting(lag(9_000), lag(9_000), 1_000)).word == "Well"
    assert health(waiting(lag(11_000), lag(0), 1_000)).why == "Ratings wait for the workers."
    assert health(waiting(lag(0), lag(11_000), 1_000)).why == "Shadows wait for ClickHouse."
    # What came half a minute ago may still wait when nothing comes any more.
    stopped = waiting(lag(0), lag(7_000), 1_000)
    assert stopped.kafka.data
    fallen = (*stopped.kafka.data.rates[:-10], *rates(NOW, 0.0)[-10:])
    data = stopped.kafka.data._replace(rate=0.0, rates=fallen)
    later = stopped._replace(kafka=stopped.kafka.__class__("Kafka", data, NOW))
    assert health(later).word == "Well"


def test_the_marks_of_transactions_alone_are_no_lag() -> None:
    assert health(waiting(lag(0), lag(*[1] * 500), 0)).word == "Well"
    assert health(waiting(lag(0), lag(601, *[0] * 499), 0)).word == "Behind"


def test_a_log_that_was_cut_back_is_drawn_as_well() -> None:
    assert 'data-lag="worker-0">-5<' in draw("lag", waiting(lag(-5), lag(0), 0))


def test_a_chart_begins_where_its_data_begins() -> None:
    found = charts.over_time(well(NOW))
    assert found
    first = found["series"][0]["data"][0]
    assert first[0] == (NOW - 240) * 1000
    assert first[1] > 0
    for chart in (charts.over_time, charts.shares, charts.throughput):
        assert (drawn := chart(well(NOW)))
        assert (drawn["xAxis"]["min"], drawn["xAxis"]["max"]) == ("dataMin", "dataMax")
        assert chart(idle(NOW)) is None
