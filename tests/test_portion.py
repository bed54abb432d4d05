"""A transaction is as large as the way to the broker allows."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from domination.portion import Portion

BATCH = 3_000


def take(portion: Portion, now: float, backlog: int = 200_000) -> int:
    """Open a transaction and take records until it is full; give how many."""
    portion.begin(now)
    taken = 0
    while taken < backlog and not portion.full:
        batch = portion.next(BATCH)
        portion.add(batch)
        taken += batch
    return taken


def test_without_a_failure_it_takes_all_that_comes() -> None:
    assert take(Portion(), 0.0) >= 200_000


def test_after_a_failure_it_takes_half_of_what_was_sent_and_grows_again() -> None:
    portion = Portion()
    take(portion, 0.0)
    portion.failed(unsent=190_000)
    sizes = []
    for now in range(10):
        sizes.append(take(portion, now))
        portion.committed(now + 1.0)
    assert sizes[0] <= 6_000
    assert sizes == sorted(sizes)
    assert sizes[-1] >= 200_000


def test_a_transaction_that_took_long_is_followed_by_none_that_is_larger() -> None:
    portion = Portion()
    take(portion, 0.0)
    portion.failed(unsent=190_000)
    before = take(portion, 20.0)
    portion.committed(25.0)
    assert take(portion, 30.0) == before


def test_a_failure_with_everything_sent_is_none_of_the_links() -> None:
    portion = Portion()
    take(portion, 0.0)
    portion.failed(unsent=0)
    assert take(portion, 10.0) >= 200_000


@given(rate=st.integers(1, 50_000))
def test_any_link_that_moves_data_at_all_makes_progress(rate: int) -> None:
    portion, now = Portion(), 0.0
    for _ in range(20):
        records = take(portion, now)
        if records <= rate * 10:
            return
        portion.failed(unsent=records - rate * 10)
        now += 15
    raise AssertionError("nothing is small enough")
