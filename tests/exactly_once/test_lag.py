"""The lag is what is not committed, in records and in time; what stands still is told once."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domination.exactly_once.arrivals import Arrivals
from domination.exactly_once.ports import Lag, Place
from domination.exactly_once.progress import Progress
from harness.clock import Clock

if TYPE_CHECKING:
    from collections.abc import Iterable


class Ends:
    """Brokers that answer when they are let."""

    def __init__(self) -> None:
        self.asked: list[list[int]] = []
        self.answer: dict[int, int] = {}

    def ask(self, partitions: Iterable[int]) -> None:
        self.asked.append(sorted(partitions))

    def answers(self) -> dict[int, int]:
        answer, self.answer = self.answer, {}
        return answer

    def reach(self, timeout: float) -> bool:
        return timeout > 0


class World:
    """A worker whose progress is looked at once a second."""

    def __init__(self) -> None:
        self.clock, self.ends = Clock(), Ends()
        self.wall = 1_000_000.0
        log = logging.getLogger("test")
        self.progress = Progress("dominate", self.ends, self.clock, log, lambda: self.wall)
        self.lag: dict[int, Lag] = {}

    def look(self, *places: Place, seconds: int = 1) -> dict[int, int]:
        """Give the lag in records."""
        for _ in range(seconds):
            self.clock.sleep(1)
            self.wall += 1
            self.lag = self.progress.look(dict(enumerate(places)))
        return {number: lag.records for number, lag in self.lag.items()}

    def waited(self, *places: Place, seconds: int = 1) -> list[float]:
        """Give the lag in seconds."""
        self.look(*places, seconds=seconds)
        return [lag.seconds for lag in self.lag.values()]


@pytest.fixture
def world() -> World:
    return World()


def at(
    committed: int, read: int | None = None, end: int | None = None, timestamp: int = -1
) -> Place:
    read = committed if read is None else read
    return Place(committed, read, read if end is None else end, timestamp)


def test_the_lag_counts_to_the_farthest_end_that_is_known(world: World) -> None:
    assert world.look(at(5, 7, 10), at(5, 7, -1001), at(5, 5, 5)) == {0: 5, 1: 2, 2: 0}
    world.ends.answer = {2: 12}
    assert world.look(at(5), at(5), at(5)) == {0: 0, 1: 0, 2: 7}


def test_only_the_ends_of_partitions_that_do_not_move_are_asked_for(world: World) -> None:
    world.look(at(5), at(5), seconds=4)
    world.look(at(5), at(6))  # Asked now.
    world.look(at(5), at(6), seconds=4)
    world.look(at(7), at(6))
    assert world.ends.asked == [[0], [1]]


def test_a_partition_that_stands_still_is_told_once_and_so_is_that_it_goes_on(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    world.look(at(5), at(5), seconds=30)  # All is read.
    world.ends.answer = {0: 8, 1: 5}
    world.look(at(5), at(5), seconds=30)
    world.look(at(8), at(5), seconds=30)
    assert caplog.messages == [
        "stands still: dominate [0] at offset 5 with a lag of 3 for 10 s",
        "moves again: dominate [0] after 31 s",
    ]


def test_what_is_read_and_not_committed_stands_still(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.look(at(5, 9), seconds=11)
    assert "lag of 4" in caplog.text


def test_records_that_nobody_can_read_yet_stand_for_nothing(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.ends.answer = {0: 5}
    assert world.look(at(5, 5, 9), seconds=30) == {0: 4}
    assert not caplog.messages


def test_while_the_worker_joins_again_a_partition_still_stands(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.ends.answer = {0: 8}
    world.look(at(5), seconds=6)
    world.look(seconds=6)
    world.look(at(5))
    assert "for 12 s" in caplog.text


def test_a_partition_that_is_another_workers_is_forgotten(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    world.ends.answer = {1: 8}
    world.look(at(5), at(5), seconds=8)
    world.look(at(5), seconds=8)
    assert world.look(at(5), at(8), seconds=8) == {0: 0, 1: 0}
    assert not caplog.messages


def test_a_line_names_a_few_partitions_and_counts_the_rest(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.look(*[at(5, 6)] * 12, seconds=12)
    (line,) = caplog.messages
    assert line.count("dominate [") == 5
    assert line.endswith(", and 7 more")


# In time.


def test_a_partition_without_lag_has_waited_for_nothing(world: World) -> None:
    assert world.waited(at(5), at(0), seconds=30) == [0, 0]


def test_a_record_has_waited_since_the_last_look_at_which_it_was_not_there(world: World) -> None:
    world.look(at(5), seconds=10)
    assert world.waited(at(5, end=6)) == [1]
    assert world.waited(at(5, end=6), seconds=9) == [10]
    assert world.waited(at(5, end=9), seconds=5) == [15]
    assert world.waited(at(6, end=9)) == [6]  # Those of the fifth look before this one.
    assert world.waited(at(9)) == [0]
    assert world.waited(at(9, end=10)) == [1]


def test_a_backlog_from_before_the_worker_is_as_old_as_the_record_last_committed(
    world: World,
) -> None:
    assert world.waited(at(5, end=99), seconds=3) == [2]  # Nobody knows more yet.
    an_hour_ago = round((world.wall - 3600) * 1000)
    assert world.waited(at(50, end=99, timestamp=an_hour_ago)) == [3601]
    assert world.waited(at(98, end=120, timestamp=an_hour_ago)) == [3602]
    assert world.waited(at(99, end=120, timestamp=an_hour_ago)) == [2]
    assert world.waited(at(120, timestamp=an_hour_ago)) == [0]


def test_no_timestamp_and_no_step_of_the_wall_clock_shortens_or_stretches_a_wait(
    world: World,
) -> None:
    world.look(at(5, timestamp=9_999_999_999_000))
    assert world.waited(at(5, end=6, timestamp=9_999_999_999_000), seconds=60) == [60]
    world.wall -= 3600
    assert world.waited(at(5, end=6, timestamp=0)) == [61]


def test_a_partition_that_comes_back_is_looked_at_anew(world: World) -> None:
    world.look(at(5), at(5), seconds=5)
    world.look(at(5), seconds=5)
    assert world.waited(at(5), at(7, end=9), seconds=2) == [0, 1]


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0, 1)), min_size=1, max_size=300))
def test_the_wait_told_covers_the_true_one(steps: list[tuple[int, float]]) -> None:
    arrivals, made, committed = Arrivals(0.0), [0.0], 0
    arrivals.waited(0, 0, 0.0, 0.0)
    for now, (new, share) in enumerate(steps, 1):
        made += [now - 0.5] * new
        end = len(made) - 1
        committed += int((end - committed) * share)
        told = arrivals.waited(committed, end, now, 0.0)
        if committed == end:
            assert told == 0
        else:
            assert now - made[committed + 1] <= told <= now


def test_of_a_long_wait_little_is_kept_and_its_length_stays_true() -> None:
    arrivals = Arrivals(0.0)
    for now in range(10_000):  # A record arrives at each look, and none is committed.
        assert arrivals.waited(0, now, now, 0.0) == now
    assert len(arrivals._looks) < 130
    for committed in (1_000, 5_000, 9_000):
        true = 10_000 - committed
        assert true <= arrivals.waited(committed, 9_999, 10_000, 0.0) <= true + 10_000 / 16
