"""The lag is what is not committed, and a partition that stands still is told once."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from domination.exactly_once.ports import Place
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
        self.progress = Progress("dominate", self.ends, self.clock, logging.getLogger("test"))

    def look(self, *places: Place, seconds: int = 1) -> dict[int, int]:
        lag: dict[int, int] = {}
        for _ in range(seconds):
            self.clock.sleep(1)
            lag = self.progress.look(dict(enumerate(places)))
        return lag


@pytest.fixture
def world() -> World:
    return World()


def at(committed: int, read: int | None = None, end: int | None = None) -> Place:
    read = committed if read is None else read
    return Place(committed, read, read if end is None else end)


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
        "goes on: dominate [0] after 31 s",
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
