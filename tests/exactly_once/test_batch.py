"""A batch stays whole: whatever steps do, each record leaves one outcome, and in its order."""

from __future__ import annotations

import gc
import weakref
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domination.exactly_once.batch import Batch, BrokenContractError, Fault, Records

if TYPE_CHECKING:
    from collections.abc import Sequence

SIZES = st.integers(0, 12)
STEPS = st.lists(st.one_of(st.just("map"), st.tuples(st.integers(2, 5), st.booleans())), max_size=6)
"""Maps, and rejects of each so many-th item, laid aside or dropped."""


def taken(size: int, steps: Sequence[Any]) -> Batch[int]:
    """Let a batch take steps; an item is the place of its record."""
    records = Records("in", [str(place).encode() for place in range(size)])
    batch: Batch[int] = records.map(lambda items: [int(item or b"") for item in items])
    for number, step in enumerate(steps):
        if step == "map":
            batch = batch.map(list)
        else:
            every, drop = step
            fault = Fault(str(number), "by its turn")
            judged = [fault if turn % every == 0 else None for turn in range(len(batch.items))]
            batch = batch.reject(judged, drop=drop)
    return batch


@given(SIZES, STEPS)
def test_each_record_leaves_one_outcome_whatever_the_steps(size: int, steps: list[Any]) -> None:
    batch = taken(size, steps)
    outcome = batch.outcome([str(item).encode() for item in batch.items])
    outcome.check()
    rejected = [reject.place for reject in outcome.rejects]
    assert sorted([*batch.items, *rejected]) == list(range(size))


@given(SIZES, STEPS)
def test_items_keep_their_order_and_their_records(size: int, steps: list[Any]) -> None:
    batch = taken(size, steps)
    assert list(batch.items) == sorted(batch.items)
    assert list(batch.kept(range(size))) == list(batch.items)


@given(SIZES, STEPS)
def test_a_reject_keeps_the_first_step_that_refused_it_and_how(size: int, steps: list[Any]) -> None:
    for reject in taken(size, steps).rejects:
        _, drop = steps[int(reject.fault.reason)]
        assert reject.dropped == drop


@given(SIZES, STEPS, st.integers(-2, 2).filter(bool))
def test_a_step_that_does_not_give_as_many_breaks_its_contract(
    size: int, steps: list[Any], more: int
) -> None:
    batch = taken(size, steps)
    count = len(batch.items) + more
    if count < 0:
        return
    with pytest.raises(BrokenContractError, match="one for each"):
        batch.map(lambda _: [0] * count)
    with pytest.raises(BrokenContractError, match="judge each"):
        batch.reject([None] * count)


def test_a_batch_without_a_fault_stays_the_same() -> None:
    records = Records("in", [b"a"])
    assert records.reject([None]) is records


def test_columns_that_were_not_read_say_nothing() -> None:
    records = Records("in", [b"a", None])
    assert records.keys == records.headers == [None, None]
    assert list(records.timestamps) == [-1, -1]
    assert records.record(1) == ("in", 0, 1, -1, None, None, [])


def test_a_batch_that_nobody_needs_is_freed_at_once() -> None:
    gc.disable()
    try:
        batch = taken(12, [(2, False), "map"])
        outcome = batch.outcome([b"" for _ in batch.items])
        gone = weakref.ref(batch.records)
        del batch, outcome
        assert gone() is None
    finally:
        gc.enable()
