"""The commit rule in schedules that a random search finds seldom, each step by step.

Each goes well with the rule as it is. Without one of its sentences, or with a driver that lacks one
of its habits, the same schedule loses records or repeats them.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

import pytest

from broken_rules import (
    AbortsInDoubt,
    AnyMembership,
    DeafInRepair,
    NeverDoubts,
    NeverRewinds,
    ReadsBeforeItIsTold,
    SendsStaleBatches,
)
from domination.transaction import Transaction
from kafka_model import EndTransaction, Produce, SendOffsets
from system_model import WORKERS, System
from worker_model import Fate, Worker

if TYPE_CHECKING:
    from collections.abc import Callable


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
    system.act("a", Fate("later"))
    system.until("a", SendOffsets)
    system.arrive_late()
    system.until("a", EndTransaction)
    system.act("a")


def a_member_again_before_it_is_told_commits_what_it_had_read(system: System) -> None:
    worker = system.workers["a"]
    while not worker.rule.committable:
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


def a_batch_in_flight_arrives_after_a_rebalance(system: System) -> None:
    worker = system.workers["a"]
    while not worker.in_flight:
        system.act("a")
    system.kafka.group.rebalance(WORKERS)
    worker.member.sync()
    system.act("a")
    # The same records, read again; both batches reach the sink.
    while len(worker.in_flight) < 2:
        system.act("a")
    system.until("a", EndTransaction)
    system.act("a")


HOLES = [
    (a_late_abort_ends_the_next_transaction, NeverDoubts, "lost"),
    (a_late_commit_ends_the_next_transaction, NeverDoubts, "twice"),
    (late_offsets_join_the_next_transaction, NeverDoubts, "twice"),
    (late_records_join_the_next_transaction, NeverDoubts, "twice"),
    (late_records_join_the_next_transaction, AbortsInDoubt, "twice"),
    (a_member_again_before_it_is_told_commits_what_it_had_read, AnyMembership, "twice"),
    (a_member_again_before_it_is_told_reads_on, ReadsBeforeItIsTold, "twice"),
    (a_batch_in_flight_arrives_after_a_rebalance, SendsStaleBatches, "lost twice"),
    (a_refused_transaction_is_read_again, NeverRewinds, "lost"),
]


def settled(broken: type[Transaction | Worker] | None = None) -> System:
    rule = broken if broken and issubclass(broken, Transaction) else Transaction
    worker = broken if broken and issubclass(broken, Worker) else Worker
    system = System(rule, worker)
    system.settle()
    return system


@pytest.mark.parametrize("schedule", dict.fromkeys(hole[0] for hole in HOLES))
def test_the_rule_stands_each_schedule(schedule: Callable[[System], None]) -> None:
    system = settled()
    schedule(system)
    system.check()
    system.settle()


@pytest.mark.parametrize(("schedule", "broken", "what"), HOLES)
def test_a_schedule_breaks_a_rule_without_its_sentence(
    schedule: Callable[[System], None], broken: type[Transaction | Worker], what: str
) -> None:
    system = settled(broken)
    schedule(system)
    found = zip(("lost", "twice"), system.kafka.faults(), strict=True)
    assert " ".join(name for name, records in found if records) == what


@pytest.mark.parametrize("worker", [Worker, DeafInRepair])
def test_a_worker_whose_first_offsets_are_refused_still_hears_of_its_partitions(
    worker: type[Worker],
) -> None:
    system = System(worker=worker, eager=True)
    system.kafka.group.rebalance(WORKERS)
    system.workers["a"].member.sync()
    system.kafka.group.evict("a")
    deaf = pytest.raises(AssertionError, match="does not find back to work")
    with deaf if worker is DeafInRepair else nullcontext():
        system.settle()
