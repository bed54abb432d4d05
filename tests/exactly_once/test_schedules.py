"""The session in schedules that a random search finds seldom, each step by step.

Each goes well with the session as it is. Without one of its rules, or with a reader or a writer
that lacks one of its habits, the same schedule loses records or repeats them.
"""

from __future__ import annotations

from contextlib import closing, contextmanager, nullcontext
from typing import TYPE_CHECKING

import pytest

from domination.exactly_once.rule import Transaction
from harness.memory.assembly import Kinds
from harness.memory.broken import (
    AbortsInDoubt,
    AnyMembership,
    DeafInRepair,
    ForgetsDoubt,
    NeverDoubts,
    NeverRewinds,
    ReadsBeforeItIsTold,
    ReadsOn,
    SendsStaleBatches,
)
from harness.memory.line import Fate
from harness.memory.reader import MemoryReader
from harness.memory.requests import EndTransaction, Produce, SendOffsets
from harness.memory.system import WORKERS, System
from harness.memory.writer import MemoryWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def a_late_abort_ends_the_next_transaction(system: System) -> None:
    system.until("a", SendOffsets)
    system.act("a", Fate("refused"))
    system.until("a", EndTransaction)
    system.act("a", Fate("again"))
    # The records of the next one are written, the offsets are not.
    system.until("a", SendOffsets)
    system.arrive_late()
    system.until("a", EndTransaction)
    system.act("a")


def a_late_commit_ends_the_next_transaction(system: System) -> None:
    system.until("a", EndTransaction)
    system.act("a", Fate("again"))
    system.until("a", SendOffsets)
    system.arrive_late()
    # Without their offsets the records are read again.
    system.act("a", Fate("refused"))
    system.until("a", EndTransaction)
    system.act("a")
    system.until("a", EndTransaction)
    system.act("a")


def late_offsets_join_the_next_transaction(system: System) -> None:
    system.until("a", SendOffsets)
    system.act("a", Fate("again"))
    system.act("a")
    system.until("a", EndTransaction)
    system.arrive_late()
    system.act("a")


def late_records_join_the_next_transaction(system: System) -> None:
    system.until("a", Produce)
    system.act("a", Fate("disputed"))
    system.until("a", SendOffsets)
    system.arrive_late()
    system.until("a", EndTransaction)
    system.act("a")


def a_member_again_before_it_is_told_commits_what_it_had_read(system: System) -> None:
    worker = system.workers["a"]
    for _ in range(20):
        if worker.rule.committable:
            break
        system.act("a")
        worker.reach_the_sink()
    system.freeze("a", steps=16)
    system.tell("a", lost=False)
    system.kafka.group.rebalance(WORKERS)
    system.work("a", steps=16, sync=False)


def a_member_again_before_it_is_told_reads_on(system: System) -> None:
    # The other one has read the partition, and not committed yet.
    system.freeze("a", steps=7)
    system.tell("a", lost=False)
    system.kafka.group.rebalance(WORKERS)
    system.work("a", steps=40, sync=False)
    system.until("b", EndTransaction)
    system.act("b")


def a_refused_transaction_is_read_again(system: System) -> None:
    system.until("a", SendOffsets)
    system.act("a", Fate("refused"))
    for _ in ("the abort", "the next commit"):
        system.until("a", EndTransaction)
        system.act("a")


def in_flight(system: System, batches: int) -> None:
    """Let a worker read until so many batches are in flight."""
    for _ in range(20):
        if len(system.workers["a"].in_flight) >= batches:
            return
        system.act("a")
    raise AssertionError(f"never {batches} batches in flight")


def a_batch_in_flight_arrives_after_a_rebalance(system: System) -> None:
    worker = system.workers["a"]
    in_flight(system, 1)
    system.kafka.group.rebalance(WORKERS)
    worker.reader.client.sync()
    system.act("a")
    # The same records, read again; both batches reach the sink.
    in_flight(system, 2)
    system.until("a", EndTransaction)
    system.act("a")


Broken = type[Transaction] | type[MemoryReader] | type[MemoryWriter]
HOLES = [
    (a_late_abort_ends_the_next_transaction, NeverDoubts, "lost"),
    (a_late_abort_ends_the_next_transaction, ForgetsDoubt, "lost"),
    (a_late_commit_ends_the_next_transaction, NeverDoubts, "twice"),
    (late_offsets_join_the_next_transaction, NeverDoubts, "twice"),
    (late_records_join_the_next_transaction, NeverDoubts, "twice"),
    (late_records_join_the_next_transaction, AbortsInDoubt, "twice"),
    (a_member_again_before_it_is_told_commits_what_it_had_read, AnyMembership, "twice"),
    (a_member_again_before_it_is_told_reads_on, ReadsBeforeItIsTold, "twice"),
    (a_batch_in_flight_arrives_after_a_rebalance, SendsStaleBatches, "lost twice"),
    (a_refused_transaction_is_read_again, NeverRewinds, "lost"),
    (a_refused_transaction_is_read_again, ReadsOn, "lost"),
]


def kinds(broken: Broken) -> Kinds:
    if issubclass(broken, Transaction):
        return Kinds(rule=broken)
    return Kinds(reader=broken) if issubclass(broken, MemoryReader) else Kinds(writer=broken)


@contextmanager
def settled(made_of: Kinds) -> Iterator[System]:
    with closing(System(made_of)) as system:
        system.settle()
        yield system


@pytest.mark.parametrize("schedule", dict.fromkeys(hole[0] for hole in HOLES))
def test_the_session_stands_each_schedule(schedule: Callable[[System], None]) -> None:
    with settled(Kinds()) as system:
        schedule(system)
        system.check()
        system.settle()


@pytest.mark.parametrize(("schedule", "broken", "what"), HOLES)
def test_a_schedule_breaks_what_lacks_a_rule_or_a_habit(
    schedule: Callable[[System], None], broken: Broken, what: str
) -> None:
    with settled(kinds(broken)) as system:
        schedule(system)
        found = zip(("lost", "twice"), system.faults(), strict=True)
        assert " ".join(name for name, records in found if records) == what


@pytest.mark.parametrize("reader", [MemoryReader, DeafInRepair])
def test_a_worker_whose_first_offsets_are_refused_still_hears_of_its_partitions(
    reader: type[MemoryReader],
) -> None:
    with closing(System(Kinds(reader=reader), eager=True)) as system:
        system.act("a")
        system.act("b")
        system.kafka.group.rebalance(WORKERS)
        system.workers["a"].reader.client.sync()
        system.kafka.group.evict("a")
        deaf = pytest.raises(AssertionError, match="does not find back to work")
        with deaf if reader is DeafInRepair else nullcontext():
            system.settle()


def test_a_member_that_is_fenced_joins_again_and_nothing_is_lost() -> None:
    with settled(Kinds()) as system:
        system.until("a", SendOffsets)
        system.expel("a")
        before = system.workers["a"].reader
        system.settle()
        assert system.workers["a"].reader is not before


def test_a_call_whose_answer_is_slow_is_made_again_and_its_transaction_stays() -> None:
    with settled(Kinds()) as system:
        epoch = system.kafka.states["a"].epoch
        for _ in range(3):
            system.until("a", EndTransaction)
            system.act("a", Fate("slow"))
        system.until("a", SendOffsets)
        system.check()
        assert system.kafka.states["a"].epoch == epoch
