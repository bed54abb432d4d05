"""The steps for batches, in a dataflow: they work on items, and keep each batch whole."""

from __future__ import annotations

from types import GenericAlias
from typing import TYPE_CHECKING, Any, get_type_hints

import bytewax.operators as op
import pytest
from bytewax.dataflow import Dataflow, Stream
from bytewax.testing import TestingSink, TestingSource, run_main

from domination.exactly_once import operators as xop
from domination.exactly_once.batch import Batch, Fault, Outcome, Records, Reject

if TYPE_CHECKING:
    from collections.abc import Callable

ODD = Fault("odd", "it is odd")


def run(steps: Callable[[Stream[Batch[int]]], Stream[Batch[Any]]], *values: int) -> Batch[Any]:
    """Let a batch of numbers run through a dataflow."""
    records = Records("in", [b"%d" % value for value in values])
    numbers = records.map(lambda items: [int(item or b"") for item in items])
    found: list[Batch[Any]] = []
    flow = Dataflow("steps")
    op.output("out", steps(op.input("in", flow, TestingSource([numbers]))), TestingSink(found))
    run_main(flow)  # type: ignore[no-untyped-call]
    (batch,) = found
    assert batch.records is records
    batch.outcome([b""] * len(batch.items)).check()
    return batch


def odd(number: int) -> int | Fault:
    return ODD if number % 2 else number


def test_map_makes_another_item_of_each() -> None:
    assert run(lambda up: xop.map("double", up, lambda item: 2 * item), 1, 2).items == [2, 4]


def test_map_all_makes_them_all_at_once() -> None:
    batch = run(lambda up: xop.map_all("shift", up, lambda items: [sum(items)] * 2), 1, 2)
    assert batch.items == [3, 3]


def test_map_all_that_does_not_give_as_many_ends_the_dataflow() -> None:
    with pytest.raises(Exception, match="step"):
        run(lambda up: xop.map_all("lose", up, lambda _: []), 1)


def test_a_step_behind_one_that_failed_does_not_hide_its_error() -> None:
    def number(batch: Batch[float]) -> Batch[Any]:
        offsets = batch.kept(batch.records.offsets)
        return batch.outcome([b"%d" % at for _, at in zip(batch.items, offsets, strict=True)])

    records = Records("in", [b"1", b"2"])
    records.origin = "a session"
    found: list[Batch[Any]] = []
    flow = Dataflow("steps")
    failing = xop.map("fail", op.input("in", flow, TestingSource([records])), lambda _: 1 / 0)
    op.output("out", op.map("number", failing, number), TestingSink(found))
    run_main(flow)  # type: ignore[no-untyped-call]
    (outcome,) = found
    assert isinstance(outcome, Outcome)
    with pytest.raises(ZeroDivisionError):
        outcome.check()


@pytest.mark.parametrize("drop", [False, True])
def test_filter_rejects_what_its_predicate_is_not_true_of(drop: bool) -> None:
    batch = run(
        lambda up: xop.filter("even", up, lambda item: item % 2 == 0, "odd", "it is odd", drop),
        *range(4),
    )
    assert batch.items == [0, 2]
    assert batch.rejects == [Reject(1, ODD, drop), Reject(3, ODD, drop)]


def test_filter_that_says_nothing_names_its_step() -> None:
    batch = run(lambda up: xop.filter("even", up, lambda item: item % 2 == 0, "odd"), 1)
    (reject,) = batch.rejects
    assert reject.fault.message == "refused by step steps.even"


def test_filter_faults_lays_aside_the_items_that_are_faults() -> None:
    batch = run(lambda up: xop.filter_faults("good", xop.map("judge", up, odd)), *range(4))
    assert batch.items == [0, 2]
    assert batch.rejects == [Reject(1, ODD), Reject(3, ODD)]


def test_filter_faults_leaves_a_good_batch_as_it_is() -> None:
    batch = run(lambda up: xop.filter_faults("good", xop.map("judge", up, odd)), 0, 2)
    assert batch.items == [0, 2]
    assert batch.places is None


def test_steps_after_a_reject_see_only_what_is_left() -> None:
    def steps(up: Stream[Batch[int]]) -> Stream[Batch[int]]:
        even = xop.filter_faults("good", xop.map("judge", up, odd))
        return xop.filter("large", even, lambda item: item > 0, "small")

    batch = run(steps, *range(5))
    assert batch.items == [2, 4]
    assert [(each.place, each.fault.reason) for each in batch.rejects] == [
        (1, "odd"),
        (3, "odd"),
        (0, "small"),
    ]


def test_map_batch_makes_another_batch_of_the_whole() -> None:
    def numbered(batch: Batch[int]) -> Outcome:
        keys = [b"%d" % item for item in batch.items]
        return batch.outcome([b"x"] * len(keys), keys=keys)

    batch = run(lambda up: xop.map_batch("number", up, numbered), 1, 2)
    assert isinstance(batch, Outcome)
    assert batch.keys == [b"1", b"2"]


def failed(step: Callable[[Batch[Any]], Any]) -> Exception:
    """Give what the sink raises of a step on a whole batch that fails."""
    records = Records("in", [b"1", b"2"])
    records.origin = "a session"
    found: list[Batch[Any]] = []
    flow = Dataflow("steps")
    broken = xop.map_batch("broken", op.input("in", flow, TestingSource([records])), step)
    op.output("out", broken, TestingSink(found))
    run_main(flow)  # type: ignore[no-untyped-call]
    assert records.error
    return records.error


def test_a_step_that_gives_no_batch_is_told_by_its_name_and_where_it_was() -> None:
    error = failed(lambda batch: batch.items)
    assert str(error) == (
        "a step gave a list: give the batch, or batch.outcome(values) (step steps.broken)"
    )
    assert error.__traceback__


def test_what_a_step_on_a_whole_batch_raises_reaches_the_sink() -> None:
    assert isinstance(failed(lambda _: 1 / 0), ZeroDivisionError)


@pytest.mark.parametrize(
    "step", [xop.map, xop.map_all, xop.map_batch, xop.filter, xop.filter_faults]
)
def test_no_annotation_of_a_step_passes_for_a_class_in_python_3_10(step: Any) -> None:
    # Bytewax's decorator asks what they are subclasses of, which fails for list[int] there.
    assert not [kind for kind in get_type_hints(step).values() if isinstance(kind, GenericAlias)]
