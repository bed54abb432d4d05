"""A model of a worker: what `session.py` does with the commit rule, one request at a time."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from domination.transaction import Failure, Position, Step
from kafka_model import (
    FIRST,
    Answer,
    Change,
    EndTransaction,
    Init,
    Kafka,
    Member,
    Produce,
    Record,
    Request,
    SendOffsets,
    is_marker,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from domination.transaction import Transaction

_FAILURES = {
    Answer.REFUSED: Failure.ABORTABLE,
    Answer.FENCED: Failure.FENCED,
    Answer.NONE: Failure.UNKNOWN,
}


class Fate(NamedTuple):
    """How it goes when a worker acts."""

    outcome: str = "ok"
    """ok; refused; again: sent twice, and one arrives later; unanswered: it arrives, and the
    answer does not; later: it arrives after the client has given up; never."""
    records: int = 2
    """How many records a poll brings."""
    told: bool = True
    """Whether a poll serves a callback that waits."""


Script = Generator["Request | str", "tuple[Answer, Fate]", None]
Call = Generator["Request | str", "tuple[Answer, Fate]", bool]
IDLE = "idle"
"""The worker has returned to the dataflow: batches may reach the sink."""
ASKED = "asked"
"""An answer that has left Kafka is under way."""


@dataclass
class Fetcher:
    """The consumer's positions, which run ahead of the worker, and what is fetched already."""

    places: dict[int, int] = field(default_factory=dict)
    versions: dict[int, int] = field(default_factory=dict)
    fetched: list[tuple[int, Record]] = field(default_factory=list)
    version: int = 0

    def seek(self, places: Mapping[int, int]) -> None:
        self.version += 1
        self.places |= places
        self.versions |= dict.fromkeys(places, self.version)

    def forget(self, partitions: set[int]) -> None:
        for partition in partitions:
            self.places.pop(partition, None)
            self.versions.pop(partition, None)

    def take(self, count: int) -> list[Record]:
        """Fetch more than is wanted, and give what is wanted and not from before a seek."""
        for _ in range(count + 1):
            for partition, place in self.places.items():
                self.fetched.append((self.versions[partition], (partition, place)))
                self.places[partition] += 1
        valid = [each for each in self.fetched if self.versions.get(each[1][0]) == each[0]]
        self.fetched = valid[count:]
        return [record for _, record in valid[:count]]


class Worker:
    """A driver of the rule. `script` stops wherever others may come between."""

    def __init__(self, name: str, kafka: Kafka, rule: Transaction) -> None:
        self.name = name
        self.kafka = kafka
        self.rule = rule
        self.member = Member(name)
        self.fetcher = Fetcher()
        self.told: str | None = None
        """The membership at the last callback."""
        self.epoch = -1
        self.unsent: list[Record] = []
        self.refused: Answer | None = None
        """The answer to what was sent in the background, if it is not OK."""
        self.doubt = False
        self.in_flight: list[tuple[int, list[Record]]] = []
        self.stopping = False
        self.fenced = False
        self.serial = 0
        self.script = self.run()
        self.waits_for = next(self.script)

    def run(self) -> Script:
        while True:
            _, fate = yield IDLE
            step = self.step()
            if self.stopping:
                self.rule.drain()
                step = self.rule.step(self.kafka.now)
                if not self.rule.in_flight and step not in (Step.COMMIT, Step.ABORT):
                    yield from self.close()
                    return
            if step is Step.END:
                self.fenced = True
                return
            yield from self.take(step, fate)

    def step(self) -> Step:
        if self.doubt:
            # Once is enough: the rule keeps it in mind.
            self.doubt = False
            self.rule.doubted()
        return self.rule.step(self.kafka.now)

    def take(self, step: Step, fate: Fate) -> Script:
        if step is Step.POLL:
            yield from self.poll(fate)
        elif step is Step.COMMIT:
            yield from self.commit()
        elif step is Step.ABORT:
            self.unsent.clear()
            self.refused = None
            if (yield from self.call(EndTransaction(self.name, self.epoch, commit=False))):
                self.rule.aborted()
        elif step is Step.RENEW:
            self.unsent.clear()
            self.refused = None
            self.doubt = False
            if (yield from self.call(Init(self.name, -1))):
                self.epoch = self.kafka.states[self.name].epoch
                self.rule.renewed()
        elif step is Step.REWIND:
            yield from self.rewind(fate)

    def call(self, request: Request) -> Call:
        answer, _ = yield request
        return answer is Answer.OK or self.fail(_FAILURES[answer])

    def fail(self, failure: Failure) -> bool:
        self.rule.failed(failure, self.kafka.now)
        return False

    def poll(self, fate: Fate) -> Script:
        taken = self.fetcher.take(fate.records)
        if fate.told:
            yield from self.serve_callback()
        if self.rule.repairing:
            return
        batch = [record for record in taken if not is_marker(*record)]
        if batch:
            ticket = self.rule.emit(_after(batch), self.kafka.now)
            self.in_flight.append((ticket, batch))
        if batch != taken:
            self.rule.advance(_after(taken), self.kafka.now)
        if not batch:
            self.rule.drain()

    def serve_callback(self) -> Script:
        if not self.member.callbacks:
            return
        change, partitions = self.member.callbacks[0]
        if change is not Change.LOST and self.rule.committable:
            yield from self.commit()
        self.rule.changed()
        if change is Change.ASSIGNED:
            self.member.granted |= partitions
        else:
            self.member.granted -= partitions
            self.fetcher.forget(partitions)
        self.told = self.member.member
        self.member.callbacks.pop(0)

    def rewind(self, fate: Fate) -> Script:
        if fate.told:
            yield from self.serve_in_repair()
        membership = self.member.member
        places = self.kafka.fetch(self.member.granted)
        answer, _ = yield ASKED
        if places is None or answer is not Answer.OK or not self.knows(membership):
            return
        self.fetcher.seek({p: FIRST[p] if at is None else at for p, at in places.items()})
        self.rule.rewound(membership)
        if new := {p: Position(FIRST[p]) for p, at in places.items() if at is None}:
            # Committed before anything is read: what retention takes later is missed then.
            self.rule.advance(new, self.kafka.now)
            self.rule.drain()

    def serve_in_repair(self) -> Script:
        """Hear what waits: first offsets whose commit is refused lead here again past no poll."""
        yield from self.serve_callback()

    def knows(self, membership: str | None) -> bool:
        """Tell whether the partitions granted are those of this membership.

        librdkafka may be a member again, under another id, before it tells what is assigned.
        """
        return membership == self.told

    def commit(self) -> Script:
        if not self.rule.may_commit(self.member.member):
            return
        member = self.member.member, self.member.generation
        offsets = {partition: at.offset for partition, at in self.rule.positions.items()}
        if (
            (yield from self.flush())
            and (yield from self.call(SendOffsets(self.name, self.epoch, offsets, *member)))
            and (yield from self.call(EndTransaction(self.name, self.epoch, commit=True)))
        ):
            self.rule.committed()

    def flush(self) -> Call:
        answer = self.refused
        if answer is None and self.unsent:
            answer, _ = yield self.produce()
        if answer in (None, Answer.OK):
            return True
        # To the client a record that has not been answered in time is a reason to abort.
        return self.fail(Failure.FENCED if answer is Answer.FENCED else Failure.ABORTABLE)

    def produce(self) -> Produce:
        self.serial += 1
        request = Produce(self.name, self.epoch, tuple(self.unsent), self.serial)
        self.unsent.clear()
        return request

    def close(self) -> Script:
        opened = self.rule.open
        self.rule.changed()
        if opened:
            yield EndTransaction(self.name, self.epoch, commit=False)
        self.kafka.group.leave(self.member)

    def reach_the_sink(self) -> None:
        if self.waits_for != IDLE or not self.in_flight:
            return
        ticket, batch = self.in_flight.pop(0)
        if self.rule.fresh(ticket):
            self.unsent += batch
            self.rule.arrive()


def _after(records: list[Record]) -> dict[int, Position]:
    return {partition: Position(offset + 1) for partition, offset in records}
