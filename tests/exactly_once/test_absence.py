"""When a worker whose transactions do not get on leaves the group, and for how long."""

from __future__ import annotations

import pytest

from domination.exactly_once.absence import Absence
from harness.clock import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_who_fails_without_progress_for_long_leaves(clock: Clock) -> None:
    absence = Absence(clock)
    clock.time = 100.0
    absence.progressed()
    clock.time = 114.0
    absence.failed("committing")
    assert not absence.due
    assert absence.call_seconds == 1.0
    clock.time = 115.0
    assert absence.due
    assert absence.why == "no progress for 15 s (committing)"


def test_who_only_has_nothing_to_do_stays(clock: Clock) -> None:
    absence = Absence(clock)
    clock.time = 100.0
    assert not absence.due
    absence.failed("committing")
    absence.progressed()
    clock.time = 200.0
    assert not absence.due


def test_who_gets_answers_is_not_cut_off(clock: Clock) -> None:
    absence = Absence(clock)
    absence.failed("starting transactions")
    clock.time = 20.0
    absence.failed("starting transactions", answered=True)
    assert not absence.due
    absence.failed("starting transactions")
    assert absence.due


def test_who_cannot_help_anybody_by_leaving_is_asked_again_later(clock: Clock) -> None:
    absence = Absence(clock)
    absence.failed("committing")
    clock.time = 15.0
    absence.put_off()
    assert not absence.due
    clock.time = 30.0
    assert absence.due


def test_who_has_left_stays_away_for_a_while_and_does_not_leave_again_soon(clock: Clock) -> None:
    absence = Absence(clock)
    absence.failed("committing")
    clock.time = 15.0
    absence.begin()
    assert absence.away
    assert not absence.due
    assert not absence.over
    clock.time = 20.0
    assert absence.over
    assert absence.end() == 5.0
    absence.failed("committing")
    clock.time = 34.9
    assert not absence.due
    clock.time = 35.0
    assert absence.due


@pytest.mark.parametrize(("commits", "seconds"), [(False, 10.0), (True, 5.0)])
def test_who_comes_back_in_vain_stays_away_longer(
    clock: Clock, *, commits: bool, seconds: float
) -> None:
    absence = Absence(clock)
    absence.begin()
    absence.end()
    absence.progressed()
    if commits:
        absence.committed()
    absence.begin()
    clock.time = seconds - 0.1
    assert not absence.over
    clock.time = seconds
    assert absence.over
