"""Steps for batches, in Bytewax's style: they work on the items of a batch and keep it whole.

Each record stays an item or becomes a reject. A step has to be stateless and to act on nothing but
the item, since what is aborted comes again. Where a step fails, the sink raises its error: Bytewax
would make a panic of an exception in a step.
"""

from __future__ import annotations

import builtins

# Generics of collections.abc pass for classes in Python 3.10, where the decorator fails on them.
from typing import Callable, Sequence, TypeVar  # noqa: UP035

import bytewax.operators as op
from bytewax.dataflow import Stream, operator

from domination.exactly_once.batch import Batch, BrokenContractError, Fault, required

T = TypeVar("T")
U = TypeVar("U")


@operator
def map(  # noqa: A001 - as Bytewax names it
    step_id: str,
    up: Stream[Batch[T]],
    mapper: Callable[[T], U],
) -> Stream[Batch[U]]:
    """Replace each item. Return a `Fault` for input that cannot be used: see `filter_faults`."""
    return _each(step_id, up, lambda batch: batch.map(lambda items: [mapper(i) for i in items]))


@operator
def map_all(
    step_id: str,
    up: Stream[Batch[T]],
    mapper: Callable[[Sequence[T]], Sequence[U]],
) -> Stream[Batch[U]]:
    """Replace all items of a batch in one call: as many items, in the same order.

    Where it makes more or fewer, the worker ends with a `BrokenContractError`.
    """
    return _each(step_id, up, lambda batch: batch.map(mapper))


@operator
def map_batch(
    step_id: str,
    up: Stream[Batch[T]],
    mapper: Callable[[Batch[T]], Batch[U]],
) -> Stream[Batch[U]]:
    """Replace each whole batch: for keys and headers, and for the `Outcome` at the end.

    Where it gives none, the worker ends with a `BrokenContractError`.
    """
    return _each(step_id, up, lambda batch: required(mapper(batch)))


@operator
def filter(  # noqa: A001, PLR0913, PLR0917 - as Bytewax names it
    step_id: str,
    up: Stream[Batch[T]],
    predicate: Callable[[T], bool],
    reason: str,
    message: str = "",
    drop: bool = False,  # noqa: FBT001, FBT002 - an operator has no arguments by name alone
) -> Stream[Batch[T]]:
    """Keep the items for which the predicate is true.

    The records of the others become dead letters with this reason; with `drop` they are only
    counted.
    """
    fault = Fault(reason, message or f"refused by step {step_id}")
    return _each(
        step_id,
        up,
        lambda batch: batch.reject(
            [None if predicate(item) else fault for item in batch.items], drop=drop
        ),
    )


@operator
def filter_faults(
    step_id: str,
    up: Stream[Batch[T | Fault]],
) -> Stream[Batch[T]]:
    """Keep the items that are not a `Fault`. The records of the others become dead letters."""
    return _each(step_id, up, _without_faults)


def _each(
    step_id: str, up: Stream[Batch[T]], step: Callable[[Batch[T]], Batch[U]]
) -> Stream[Batch[U]]:
    def guarded(batch: Batch[T]) -> Batch[U]:
        try:
            return step(batch)
        except BrokenContractError as error:
            error.args = (f"{error} (step {step_id})",)
            return batch.failed(error)
        except Exception as error:  # noqa: BLE001 - the sink raises it again
            return batch.failed(error)

    return op.map("batch", up, guarded)


def _without_faults(batch: Batch[T | Fault]) -> Batch[T]:
    # Of a good batch only the types are looked at.
    if Fault not in set(builtins.map(type, batch.items)):
        return batch  # type: ignore[return-value]  # there is none
    faults = [item if isinstance(item, Fault) else None for item in batch.items]
    return batch.reject(faults)  # type: ignore[return-value]  # the others are kept
