"""A transaction is as large as the way to the broker allows."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from domination.exactly_once.portion import Portion

BATCH = 3_000
OFFSETS_SECONDS = 8.0
"""How long the offsets may wait behind the debt."""


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
    portion.failed(unsent=190_000, throttled=0.0)
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
    portion.failed(unsent=190_000, throttled=0.0)
    before = take(portion, 20.0)
    portion.committed(25.0)
    assert take(portion, 30.0) == before


def test_after_a_failure_with_everything_sent_it_takes_half() -> None:
    portion = Portion()
    sent = take(portion, 0.0)
    portion.failed(unsent=0, throttled=0.0)
    assert take(portion, 10.0) == sent // 2


def test_after_a_broker_has_throttled_it_takes_what_passes_in_two_seconds() -> None:
    portion = Portion()
    sent = take(portion, 0.0)
    portion.failed(unsent=0, throttled=100.0)
    assert take(portion, 10.0) == sent // 50


def test_a_failure_before_the_next_transaction_changes_nothing() -> None:
    portion = Portion()
    take(portion, 0.0)
    portion.failed(unsent=190_000, throttled=0.0)
    portion.failed(unsent=0, throttled=0.0)
    assert take(portion, 10.0) <= 6_000


def test_the_first_poll_after_a_full_transaction_takes_as_many_as_the_others() -> None:
    portion = Portion()
    take(portion, 0.0)
    portion.failed(unsent=190_000, throttled=0.0)
    take(portion, 10.0)
    portion.committed(11.0)
    assert portion.next(BATCH) == BATCH


@given(rate=st.integers(1, 50_000))
def test_any_link_that_moves_data_at_all_makes_progress(rate: int) -> None:
    portion, now = Portion(), 0.0
    for _ in range(20):
        records = take(portion, now)
        if records <= rate * 10:
            return
        portion.failed(unsent=records - rate * 10, throttled=0.0)
        now += 15
    raise AssertionError("nothing is small enough")


@given(quota=st.floats(0.5, 50_000), window=st.integers(2, 60))
@example(quota=10.0, window=11)  # A megabyte at 1,000 bytes a second.
def test_any_quota_lets_something_pass_before_the_availability_timeout(
    quota: float, window: int
) -> None:
    portion, now = Portion(), 0.0
    sent: list[tuple[float, int]] = []
    while now < 120:
        records = take(portion, now)
        sent.append((now, records))
        counted = sum(each for when, each in sent if now - when < window)
        debt = max(0.0, counted / quota - window)
        if debt < OFFSETS_SECONDS:
            return
        portion.failed(unsent=0, throttled=debt)
        now += OFFSETS_SECONDS
    raise AssertionError("nothing is small enough")
