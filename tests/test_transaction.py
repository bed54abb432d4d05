"""The commit rule, driven against a model of Kafka's log by every order of events."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from domination.transaction import Failure, Step, Transaction

PARTITIONS = range(2)
WORKERS = ("a", "b")
TIMEOUT = 10.0
Record = tuple[int, int]


@dataclass
class Kafka:
    """What Kafka decides: a log, the group's offsets, who may write and who may commit."""

    output: list[Record] = field(default_factory=list)
    committed: dict[int, int] = field(default_factory=lambda: dict.fromkeys(PARTITIONS, 0))
    owners: dict[int, str | None] = field(default_factory=lambda: dict.fromkeys(PARTITIONS))
    epochs: dict[str, int] = field(default_factory=lambda: dict.fromkeys(WORKERS, 0))
    pending: dict[str, list[Record]] = field(default_factory=dict)
    offsets: dict[str, dict[int, int]] = field(default_factory=dict)

    def end(self, worker: str, *, commit: bool) -> None:
        """Commit or abort a transaction: its records and its offsets, or neither."""
        records, offsets = self.pending.pop(worker, []), self.offsets.pop(worker, {})
        if commit:
            self.output += records
            self.committed |= offsets

    def stable(self, partitions: set[int]) -> bool:
        """Tell whether no open transaction holds offsets of these partitions."""
        return not any(partitions & offsets.keys() for offsets in self.offsets.values())


@dataclass
class Worker:
    """A driver of the rule: what `session.py` does, with calls that end as the test draws."""

    name: str
    rule: Transaction
    epoch: int = -1
    assigned: set[int] = field(default_factory=set)
    positions: dict[int, int] = field(default_factory=dict)
    in_flight: list[tuple[int, list[Record]]] = field(default_factory=list)


class CommitRule(RuleBasedStateMachine):
    """Two workers, one group; crashes, revocations, losses and failures at any step."""

    rule_type = Transaction

    @initialize()
    def start(self) -> None:
        self.now = 0.0
        self.kafka = Kafka()
        self.workers = {name: self.new(name) for name in WORKERS}
        self.rebalance(owners=("a", "b"), outcome="ok", reached=True)
        for name in WORKERS * 2:
            self.act(name, "ok", reached=True, records=0)

    def new(self, name: str) -> Worker:
        return Worker(name, self.rule_type(commit_interval=2.0, transaction_timeout=TIMEOUT))

    # What a worker does.

    @rule(
        name=st.sampled_from(WORKERS),
        outcome=st.sampled_from(["ok", "abortable", "unknown"]),
        reached=st.booleans(),
        records=st.integers(0, 3),
    )
    def act(self, name: str, outcome: str, reached: bool, records: int) -> None:
        """Take one step; a call that fails may have reached Kafka or not."""
        worker = self.workers[name]
        step = worker.rule.step(self.now)
        if step is Step.POLL:
            self.poll(worker, records)
        elif step is Step.COMMIT:
            self.commit(worker, outcome, reached=reached)
        elif step is Step.ABORT:
            self.abort(worker, outcome, reached=reached)
        elif step is Step.RENEW:
            self.renew(worker, outcome, reached=reached)
        elif step is Step.REWIND and outcome == "ok" and self.kafka.stable(worker.assigned):
            worker.positions = {p: self.kafka.committed[p] for p in worker.assigned}
            worker.rule.rewound()
        elif step is Step.END:
            self.crash(name)

    def poll(self, worker: Worker, records: int) -> None:
        batch: list[Record] = []
        for partition in sorted(worker.assigned):
            position = worker.positions[partition]
            batch += [(partition, position + i) for i in range(records)]
            worker.positions[partition] += records
        if batch:
            ticket = worker.rule.emit({p: worker.positions[p] for p, _ in batch}, self.now)
            worker.in_flight.append((ticket, batch))
        else:
            worker.rule.drain()

    def commit(self, worker: Worker, outcome: str, *, reached: bool) -> None:
        fenced = self.kafka.epochs[worker.name] != worker.epoch
        evicted = any(self.kafka.owners[p] != worker.name for p in worker.rule.positions)
        if fenced:
            worker.rule.failed(Failure.FENCED, self.now)
        elif evicted or outcome == "abortable":
            worker.rule.failed(Failure.ABORTABLE, self.now)
        else:
            if outcome == "ok" or reached:
                self.kafka.offsets[worker.name] = dict(worker.rule.positions)
                self.kafka.end(worker.name, commit=True)
            if outcome == "ok":
                worker.rule.committed()
            else:
                worker.rule.failed(Failure.UNKNOWN, self.now)

    @rule(name=st.sampled_from(WORKERS))
    def send_offsets_without_an_answer(self, name: str) -> None:
        """Let the offsets reach Kafka, but not the commit."""
        worker = self.workers[name]
        mine = all(self.kafka.owners[p] == name for p in worker.rule.positions)
        if worker.rule.step(self.now) is Step.COMMIT and mine:
            if self.kafka.epochs[name] == worker.epoch:
                self.kafka.offsets[name] = dict(worker.rule.positions)
            worker.rule.failed(Failure.UNKNOWN, self.now)

    def abort(self, worker: Worker, outcome: str, *, reached: bool) -> None:
        if self.kafka.epochs[worker.name] != worker.epoch:
            worker.rule.failed(Failure.FENCED, self.now)
            return
        if outcome == "ok" or reached:
            self.kafka.end(worker.name, commit=False)
        if outcome == "ok":
            worker.rule.aborted()
        else:
            worker.rule.failed(Failure.UNKNOWN, self.now)

    def renew(self, worker: Worker, outcome: str, *, reached: bool) -> None:
        if outcome == "ok" or reached:
            self.kafka.end(worker.name, commit=False)
            self.kafka.epochs[worker.name] += 1
        if outcome == "ok":
            worker.epoch = self.kafka.epochs[worker.name]
            worker.rule.renewed()
        else:
            worker.rule.failed(Failure.UNKNOWN, self.now)

    @rule(name=st.sampled_from(WORKERS))
    def reach_the_sink(self, name: str) -> None:
        worker = self.workers[name]
        if worker.in_flight:
            ticket, batch = worker.in_flight.pop(0)
            if worker.rule.fresh(ticket):
                if self.kafka.epochs[name] == worker.epoch:
                    self.kafka.pending.setdefault(name, []).extend(batch)
                worker.rule.arrive()

    @rule(name=st.sampled_from(WORKERS), steps=st.integers(3, 8))
    def work(self, name: str, steps: int) -> None:
        """Let all go well for a while."""
        for _ in range(steps):
            self.act(name, "ok", reached=True, records=1)
            self.reach_the_sink(name)

    # What happens to it.

    @rule(seconds=st.sampled_from([0.5, 3.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(name=st.sampled_from(WORKERS))
    def crash(self, name: str) -> None:
        """Kill and restart a worker; its transaction stays open, its partitions are still its."""
        assigned = self.workers[name].assigned
        self.workers[name] = self.new(name)
        self.change(self.workers[name], assigned)

    @rule(name=st.sampled_from(WORKERS))
    def time_out(self, name: str) -> None:
        """Let the coordinator abort a transaction that is too old, and fence its producer."""
        if name in self.kafka.pending:
            self.now += TIMEOUT
            self.take_id(name)

    @rule(name=st.sampled_from(WORKERS))
    def take_id(self, name: str) -> None:
        """Let an intruder take the transactional id."""
        self.kafka.end(name, commit=False)
        self.kafka.epochs[name] += 1

    @rule(
        owners=st.tuples(*[st.sampled_from(WORKERS)] * len(PARTITIONS)),
        outcome=st.sampled_from(["ok", "abortable", "unknown"]),
        reached=st.booleans(),
    )
    def rebalance(self, owners: tuple[str, ...], outcome: str, reached: bool) -> None:
        """Share the partitions out anew; a member is asked before it loses any."""
        for worker in self.workers.values():
            wanted = {p for p in PARTITIONS if owners[p] == worker.name}
            if wanted != worker.assigned:
                if worker.rule.committable:
                    self.commit(worker, outcome, reached=reached)
                self.change(worker, wanted)
        self.kafka.owners = dict(enumerate(owners))

    @rule(name=st.sampled_from(WORKERS))
    def lose(self, name: str) -> None:
        """Give a frozen member's partitions to the other one; it learns of it when it wakes."""
        other = next(each for each in WORKERS if each != name)
        if self.workers[name].assigned:
            if self.workers[other].rule.committable:
                self.commit(self.workers[other], "ok", reached=True)
            self.kafka.owners = dict.fromkeys(PARTITIONS, other)
            self.change(self.workers[other], set(PARTITIONS))

    @rule(name=st.sampled_from(WORKERS))
    def wake(self, name: str) -> None:
        worker = self.workers[name]
        owned = {p for p in PARTITIONS if self.kafka.owners[p] == name}
        if owned != worker.assigned:
            self.change(worker, owned)

    def change(self, worker: Worker, assigned: set[int]) -> None:
        worker.rule.changed()
        worker.assigned = assigned
        # A consumer stands anywhere after a change until it is told where to go.
        worker.positions = {p: worker.positions.get(p, 0) for p in assigned}

    # What must hold.

    @invariant()
    def none_is_lost_and_none_is_there_twice(self) -> None:
        """At any moment the output is exactly what the committed offsets say has been read."""
        kafka = getattr(self, "kafka", Kafka())
        expected = [(p, offset) for p in PARTITIONS for offset in range(kafka.committed[p])]
        assert sorted(kafka.output) == expected

    @invariant()
    def a_partition_stays_in_order(self) -> None:
        for partition in PARTITIONS:
            offsets = [o for p, o in getattr(self, "kafka", Kafka()).output if p == partition]
            assert offsets == sorted(offsets)

    def teardown(self) -> None:
        """Let the faults end: whatever has happened, the workers find back to work."""
        if not hasattr(self, "kafka"):
            return
        self.kafka.owners |= {p: "a" for p in PARTITIONS if self.kafka.owners[p] is None}
        for name in WORKERS:
            self.wake(name)
        before = dict(self.kafka.committed)
        for _ in range(12):
            for name in WORKERS:
                self.act(name, "ok", reached=True, records=1)
                while self.workers[name].in_flight:
                    self.reach_the_sink(name)
            self.wait(3.0)
            self.none_is_lost_and_none_is_there_twice()
        assert all(self.kafka.committed[p] > before[p] for p in PARTITIONS)


TestCommitRule = CommitRule.TestCase


class CommitsInFlight(Transaction):
    """Counts a batch as written as soon as it is emitted."""

    @property
    def in_flight(self) -> int:
        return 0


class SendsStaleBatches(Transaction):
    """Lets batches of an aborted transaction into the next one."""

    def fresh(self, ticket: int) -> bool:
        del ticket
        return True


class NeverRewinds(Transaction):
    """Reads on from where it was after an abort."""

    def aborted(self) -> None:
        super().aborted()
        self.rewound()


class TrustsATimeout(Transaction):
    """Takes a commit of unknown outcome for an abort, and its producer for good."""

    def failed(self, failure: Failure, now: float) -> None:
        super().failed(failure, now)
        if failure is Failure.UNKNOWN and self.repairing:
            self.renewed()


class KeepsItsPlace(Transaction):
    """Does not go back when its partitions have changed hands."""

    def changed(self) -> None:
        super().changed()
        if self.step(0.0) is Step.REWIND:
            self.rewound()


@pytest.mark.parametrize(
    "broken", [CommitsInFlight, SendsStaleBatches, NeverRewinds, TrustsATimeout, KeepsItsPlace]
)
def test_a_broken_rule_is_caught(broken: type[Transaction]) -> None:
    machine: Any = type("Broken", (CommitRule,), {"rule_type": broken})
    search = settings(
        max_examples=1000,
        stateful_step_count=30,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        report_multiple_bugs=False,
        deadline=None,
    )
    with pytest.raises(AssertionError):
        run_state_machine_as_test(machine, settings=search)
