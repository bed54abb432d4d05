"""What others wrote, on the monitor's page: cut, and only so much of it."""

from __future__ import annotations

import re
from typing import Final

from domination.clickhouse.queries import Human, no_counts
from domination.errors import DominationError, Exit
from domination.monitor.page import draw
from domination.monitor.probe import Probe
from domination.monitor.reading import Reading, Readings
from domination.monitor.rows import Rows, Totals
from domination.monitor.topics import DeadLetterCounts, Topics
from domination.ratings import Reason
from domination.reasons import LONGEST_REASON, MOST_SHOWN, Reasons
from harness.processes import eventually

LONG: Final = "<\x1b\U0010ffff>" * 25_000


def topics(*reasons: str) -> Readings:
    """Give the readings of these dead letters."""
    counts = Reasons(map(str, Reason))
    for reason in reasons:
        counts.add(reason)
    found = DeadLetterCounts(counts.counted(), 0, whole=True)
    return Readings(
        Reading("Kafka", Topics(None, (), None, found), 1), Reading("ClickHouse", why=LONG)
    )


def test_of_very_many_reasons_the_page_shows_the_most_frequent_and_counts_the_rest() -> None:
    foreign = [f"{number}{LONG if number % 10_000 == 0 else ''}" for number in range(100_000)]
    readings = topics(*foreign, *["not_json"] * 4, *["0" + LONG] * 2)
    assert readings.kafka.data
    kept = readings.kafka.data.dead_letters.by_reason.reasons
    assert max(map(len, kept)) == LONGEST_REASON
    page = draw("letters", readings)
    assert len(page) < 20_000
    assert page.count("<code>") == MOST_SHOWN
    assert page.index("not_json") < page.index("<code>0&lt;")
    assert page.index("<code>0&lt;") < page.index("<code>1</code>")
    assert "over 981 more" in page
    assert 'data-figure="letters">100,006<' in page


def test_a_few_reasons_are_all_shown() -> None:
    page = draw("letters", topics(*"aab"))
    assert re.findall(r'data-reason="(\w)">(\d)<', page) == [("a", "2"), ("b", "1")]
    assert "more" not in page
    many = draw("letters", topics(*map(str, range(MOST_SHOWN + 2))))
    assert "<td>2 more</td><td>2</td>" in many


def test_an_id_is_cut_where_its_escapes_are_long() -> None:
    human = Human(LONG[:64], "Sha", "2026-01-01 00:00:00.000")
    totals = Totals(no_counts(), exact=True, broken=0, ahead=0, over_time=())
    rows = Rows(None, (), None, (human,) * 8, totals, 0.0)
    readings = Readings(Reading("Kafka"), Reading("ClickHouse", rows, 1))
    for shown in re.findall("<code>(.*?)</code>", draw("latest", readings)):
        assert len(shown) < 64 * 5
        assert "\x1b" not in shown


def test_why_a_source_is_down_is_a_line_of_bounded_length() -> None:
    for error in (ValueError(LONG), DominationError(Exit.UNAVAILABLE, LONG)):

        def look(error: Exception = error) -> int:
            raise error

        probe = Probe("It", look, pause_seconds=0.01)
        try:
            eventually(lambda: bool(probe.reading.why))  # noqa: B023 - within its turn
            assert len(probe.reading.why) < 400
            assert probe.reading.why.isprintable()
        finally:
            probe.end()
            probe.join()
