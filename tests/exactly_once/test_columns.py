"""A batch stays whole: each of its records is an item or a reject, once, whatever its steps do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pytest
from bytewax.dataflow import Dataflow
from bytewax.operators import input as input_
from bytewax.operators import output
from bytewax.testing import TestingSink, TestingSource, run_main
from hypothesis import given
from hypothesis import strategies as st

from domination.exactly_once import operators as xop
from domination.exactly_once.batch import (
    Batch,
    BrokenContractError,
    Fault,
    Outcome,
    Records,
    Reject,
)
from domination.exactly_once.columns import columns
from domination.exactly_once.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Callable

ODD = Fault("odd", "of no use")


def poll(count: int) -> Records:
    """Give records that hold their own place."""
    return Records("orders", [b"%d" % place for place in range(count)])


def verdicts(count: int) -> st.SearchStrategy[list[list[bool]]]:
    """Draw what each of three filters thinks of each record."""
    return st.lists(st.lists(st.booleans(), min_size=count, max_size=count), min_size=3, max_size=3)


@given(st.integers(0, 8).flatmap(verdicts))
def test_each_record_is_an_item_or_a_reject_of_the_first_filter_that_refuses_it(
    filters: list[list[bool]],
) -> None:
    count = len(filters[0])
    batch = poll(count).map(lambda items: [int(item or b"") for item in items])
    for number, verdict in enumerate(filters):
        fault = Fault(str(number), "refused")
        batch = batch.reject([None if verdict[item] else fault for item in batch.items])
        assert list(batch.items) == list(batch.kept(range(count)))
    first = [[verdict[place] for verdict in filters] for place in range(count)]
    assert list(batch.items) == [place for place in range(count) if all(first[place])]
    assert sorted((reject.place, reject.fault.reason) for reject in batch.rejects) == [
        (place, str(first[place].index(False))) for place in range(count) if not all(first[place])
    ]
    batch.outcome([b""] * len(batch.items)).check()


def test_what_an_outcome_does_not_say_is_carried_over_from_its_own_records() -> None:
    batch = poll(3).reject([None, ODD, None])
    assert batch.kept("abc") == ["a", "c"]
    outcome = batch.outcome([b"x", b"y"], keys=[b"1", b"2"])
    assert outcome.keys == [b"1", b"2"]
    assert (outcome.headers, outcome.timestamps, outcome.topics) == (None, None, None)
    assert outcome.rejects == [Reject(1, ODD)]


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (lambda: Outcome(poll(2), [b""]), "lost or added"),
        (lambda: Outcome(poll(2), [b""] * 3), "lost or added"),
        (lambda: Outcome(poll(2), [b""] * 2, (), [Reject(0, ODD)]), "lost or added"),
        (lambda: Outcome(poll(2), [], (), [Reject(0, ODD)] * 2), "twice"),
        (lambda: Outcome(poll(2), [b""], (), [Reject(2, ODD)]), "does not have"),
        (lambda: Outcome(poll(2), [b""], (), [Reject(-1, ODD)]), "does not have"),
        (lambda: Outcome(poll(2), [b""], None, [Reject(0, ODD)]), "places of other"),
        (lambda: Outcome(poll(2), [b""], [0], [Reject(0, ODD)]), "places of other"),
        (lambda: Outcome(poll(2), [b""], [0, 1], [Reject(0, ODD)]), "places of other"),
        (lambda: Outcome(poll(2), [b""], [-1], [Reject(0, ODD)]), "places of other"),
        (lambda: Outcome(poll(2), [b""] * 2, [0, 0]), "places of other"),
        (lambda: Outcome(poll(2), [b""] * 2, [0]), "places of other"),
        (lambda: poll(2).outcome([b""] * 2, keys=[None]), "1 keys for 2"),
        (lambda: poll(2).outcome([b""] * 2, headers=[[]] * 3), "3 headers for 2"),
        (lambda: poll(2).outcome([b""] * 2, timestamps=[0]), "1 timestamps for 2"),
        (lambda: poll(2).outcome([b""] * 2, topics=["a"]), "1 topics for 2"),
        (lambda: poll(2).outcome([b""] * 2, kinds=bytes(3)), "3 kinds for 2"),
    ],
)
def test_an_outcome_that_does_not_have_each_record_once_is_refused(
    broken: Callable[[], Outcome], said: str
) -> None:
    with pytest.raises(BrokenContractError, match=said):
        broken().check()


class Array(Sequence[Any]):
    """A sequence that is neither true nor false, as those of numpy and pandas."""

    def __init__(self, *entries: object) -> None:
        self._entries = entries

    def __getitem__(self, place: Any) -> Any:
        return self._entries[place]

    def __len__(self) -> int:
        return len(self._entries)

    def __bool__(self) -> bool:
        raise ValueError


def test_a_column_is_any_sequence() -> None:
    outcome = poll(2).outcome(
        Array(b"x", b"y"),
        keys=Array(b"1", None),
        headers=Array(None, [("h", b"")]),
        timestamps=Array(5, 0),
        topics=Array("a", "b"),
        kinds=Array(1, 2),
    )
    outcome.check()
    found = columns(outcome, ["a", "b"])
    assert list(zip(*found.arguments(iter(found.values)), strict=False)) == [
        ("a", b"x", b"1", -1, None, None, 5, None),
        ("b", b"y", None, -1, None, None, 0, [("h", b"")]),
    ]
    assert found.selected([False, True]).keys == [None]
    tally = Tally()
    tally.wrote(outcome, [Reject(1, ODD)])
    assert list(tally.committed(0.0).kinds[0]) == [1]


def test_a_step_makes_as_many_items_as_it_was_given_and_judges_as_many() -> None:
    with pytest.raises(BrokenContractError, match="1 items of 2"):
        poll(2).map(lambda items: items[1:])
    with pytest.raises(BrokenContractError, match="judged 1 items of 2"):
        poll(2).reject([None])


def test_a_record_is_given_whole() -> None:
    records = Records("orders", [b"a", None], [b"k", None], [[("h", b"1")], None], [5, -1])
    assert records.record(0) == ("orders", 0, 0, 5, b"k", b"a", [("h", b"1")])
    assert records.record(1) == ("orders", 0, 1, -1, None, None, [])


def test_the_operators_keep_a_batch_whole_and_filters_say_why() -> None:
    flow = Dataflow("test")
    arrived: list[Batch[bytes]] = []
    found = input_("records", flow, TestingSource([poll(6)]))
    parsed = xop.map("parse", found, lambda item: int(item or b"") or ODD)
    good = xop.filter_faults("good", parsed)
    even = xop.filter("even", good, lambda item: item % 2 == 0, "uneven", "not even", drop=True)
    small = xop.filter("small", even, lambda item: item < 3, "large")
    halves = xop.map_all("halve", small, lambda items: [b"%d" % (item // 2) for item in items])
    output("out", halves, TestingSink(arrived))
    run_main(flow)  # type: ignore[no-untyped-call]  # it is Rust's
    (batch,) = arrived
    assert batch.items == [b"1"]
    assert batch.places == [2]
    uneven = Fault("uneven", "not even")
    assert [reject for reject in batch.rejects if reject.dropped] == [
        Reject(place, uneven, dropped=True) for place in (1, 3, 5)
    ]
    large = Fault("large", "refused by step test.small")
    assert [reject for reject in batch.rejects if not reject.dropped] == [
        Reject(0, ODD),
        Reject(4, large),
    ]
