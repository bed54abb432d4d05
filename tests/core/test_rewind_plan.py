"""Where a rewind goes, and how many records that takes: the arithmetic, without a broker."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domination.errors import DominationError, Exit
from domination.rewind import EARLIEST, LATEST, Move, Place, Time, goal, plan, target

NOW = 1_750_000_000.0


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("earliest", EARLIEST),
        ("latest", LATEST),
        ("0", 0),
        ("4200", 4200),
        ("90s", Time(1_749_999_910_000)),
        ("30m", Time(1_749_998_200_000)),
        ("2h", Time(1_749_992_800_000)),
        ("7d", Time(1_749_395_200_000)),
        ("999999999d", Time(0)),
        ("2025-06-01T02:00:00Z", Time(1_748_743_200_000)),
        ("2025-06-01T02:00:00z", Time(1_748_743_200_000)),
        ("2025-06-01T04:00:00.250+02:00", Time(1_748_743_200_250)),
        ("2025-05-31 21:30-04:30", Time(1_748_743_200_000)),
        ("0001-01-01T00:00:00+14:00", Time(0)),
    ],
)
def test_a_goal_is_a_word_an_offset_a_duration_or_a_time(text: str, found: object) -> None:
    assert goal(text, NOW) == found


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("2025-06-01T02:00:00", "has no zone"),
        *((f"2025-06-01{zone}", "or no time of day") for zone in ("", "Z", "+02:00")),
        ("2125-06-01T02:00:00Z", "is in the future"),
        *((text, "is not a position") for text in ("", "2 h", "-5", "1.5", "2w", "Earliest")),
        *((text, "is not a position") for text in ("٤", "٤h", "9" * 19, "9" * 10 + "d")),
        ("2025-13-01T00:00:00Z", "is not a position"),
    ],
)
def test_what_is_no_place_to_go_to_says_why(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        goal(text, NOW)


@pytest.mark.parametrize(
    ("committed", "first", "end", "to", "again", "skipped"),
    [
        (70, 0, 100, 30, 40, 0),
        (70, 0, 100, 70, 0, 0),
        (70, 0, 100, 90, 0, 20),
        (70, 50, 100, 50, 20, 0),
        (None, 50, 100, 50, 50, 0),
        (None, 50, 100, 80, 20, 30),
        # The next records are gone: nothing that is there is skipped.
        (20, 50, 100, 50, 0, 0),
        (20, 50, 100, 60, 0, 10),
        # The log was cut back, or made again.
        (70, 0, 40, 10, 30, 0),
        (70, 0, 40, 40, 0, 0),
    ],
)
def test_what_lies_between_is_judged_again_or_skipped(  # noqa: PLR0913, PLR0917 - a table's row
    committed: int | None, first: int, end: int, to: int, again: int, skipped: int
) -> None:
    move = Move(Place(0, committed, first, end), to)
    assert (move.again, move.skipped) == (again, skipped)


OFFSETS = st.integers(0, 1000)


@given(OFFSETS, OFFSETS, OFFSETS, st.sampled_from([EARLIEST, LATEST]))
def test_of_what_is_kept_each_record_is_judged_again_or_skipped_as_often_as_it_lies_between(
    committed: int, first: int, more: int, where: str
) -> None:
    place = Place(0, committed, first, first + more)
    move = target(place, where, "dominate")
    stand = min(max(committed, first), place.end)
    assert move.again == (stand - first if where == EARLIEST else 0)
    assert move.skipped == (0 if where == EARLIEST else place.end - stand)


@pytest.mark.parametrize("offset", [49, 101])
def test_an_offset_before_the_first_record_or_behind_the_end_is_refused(offset: int) -> None:
    with pytest.raises(DominationError, match=f"no offset {offset}: it begins at 50") as it:
        target(Place(0, 70, 50, 100), offset, "dominate")
    assert it.value.exit_code is Exit.SETTING


@pytest.mark.parametrize("offset", [50, 100])
def test_the_first_record_and_the_end_can_be_gone_to(offset: int) -> None:
    assert target(Place(0, 70, 50, 100), offset, "dominate").to == offset


BACK = Move(Place(0, 70, 0, 100), 30)
AHEAD = Move(Place(1, 70, 0, 100), 90)
NEW = Move(Place(2, None, 0, 100), 90)


def test_a_partition_goes_forward_only_when_it_is_told_to() -> None:
    careful, told = plan([BACK, AHEAD], skip=False), plan([BACK, AHEAD, NEW], skip=True)
    assert (careful.go, careful.stay) == ([BACK], [AHEAD])
    assert (careful.again, careful.skipped) == (40, 0)
    assert (told.go, told.stay) == ([BACK, AHEAD, NEW], [])
    assert (told.again, told.skipped) == (50, 110)


@pytest.mark.parametrize(("moves", "why"), [([AHEAD], "go back"), ([BACK, NEW], r"offset .*\[2\]")])
def test_who_would_not_move_at_all_or_would_stay_without_an_offset_is_refused(
    moves: list[Move], why: str
) -> None:
    with pytest.raises(DominationError, match=why) as it:
        plan(moves, skip=False)
    assert it.value.exit_code is Exit.SETTING
    assert "--skip" in str(it.value)


def test_each_partition_is_told_in_a_line() -> None:
    gone = Move(Place(3, 20, 50, 100), 50)
    assert list(plan([AHEAD, BACK, gone], skip=False).lines("dominate")) == [
        "dominate[0]: 70 -> 30: 40 again",
        "dominate[1]: 70 stays: 90 is ahead, 20 would be skipped",
        "dominate[3]: 20 -> 50 (the first record kept): 0 again",
    ]
    assert list(plan([NEW], skip=True).lines("dominate")) == [
        "dominate[2]: no offset -> 90: 10 again, 90 skipped"
    ]
