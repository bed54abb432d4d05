"""A model of Kafka, as far as exactly once depends on it: one group, one input, its outputs."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from domination.exactly_once.dead_letter import size
from domination.exactly_once.transactional import TRANSACTION_SECONDS
from domination.kafka.cluster import DEFAULT_SIZE_LIMIT
from harness.memory.group import Group
from harness.memory.requests import Answer, EndTransaction, Init, Produce, SendOffsets
from harness.memory.topic import Endless

if TYPE_CHECKING:
    from domination.exactly_once.rule import Position
    from harness.memory.requests import Request, Sent
    from harness.memory.topic import Topic


@dataclass
class Entry:
    """A record in the outputs' log; None: its transaction is open."""

    sent: Sent
    writer: str
    visible: bool | None = None


@dataclass
class State:
    """What the transaction coordinator knows of a transactional id."""

    epoch: int = 0
    opened: float | None = None
    outcome: bool | None = None
    offsets: dict[int, Position] = field(default_factory=dict)
    serials: set[int] = field(default_factory=set)


@dataclass
class Kafka:
    """The logs, the offsets and the coordinators, and requests that are still under way."""

    topic: Topic = field(default_factory=Endless)
    group: Group = field(default_factory=Group)
    states: dict[str, State] = field(default_factory=lambda: defaultdict(State))
    now: float = 0.0
    log: list[Entry] = field(default_factory=list)
    committed: dict[int, Position] = field(default_factory=dict)
    topic_id: str = "first"
    """Another one once the input has been created again."""
    wire: list[Request] = field(default_factory=list)
    limits: dict[str, int] = field(default_factory=lambda: defaultdict(lambda: DEFAULT_SIZE_LIMIT))
    """The largest record that each output takes, in bytes."""

    def receive(self, request: Request) -> Answer:
        """Serve a request, however late: valid is what has the current epoch."""
        state = self.states[request.writer]
        if isinstance(request, Init):
            self.fence(request.writer)
            return Answer.OK
        if request.epoch != state.epoch:
            return Answer.FENCED
        if isinstance(request, EndTransaction):
            return self._end(request)
        if isinstance(request, SendOffsets):
            if not self.group.has(request.member, request.generation):
                return Answer.REFUSED
            state.offsets |= request.offsets
        elif isinstance(request, Produce) and request.serial not in state.serials:
            if any(size(*sent[1:4]) > self.limits[sent.topic] for sent in request.records):
                return Answer.TOO_LARGE
            state.serials.add(request.serial)
            self.log += [Entry(record, request.writer) for record in request.records]
        if state.opened is None:
            state.opened = self.now
        return Answer.OK

    def _end(self, request: EndTransaction) -> Answer:
        state = self.states[request.writer]
        if state.opened is not None:
            self._settle(request.writer, commit=request.commit)
        elif request.commit and not state.outcome:
            return Answer.REFUSED
        return Answer.OK

    def _settle(self, writer: str, *, commit: bool) -> None:
        """Commit or abort a transaction: its records and its offsets, or neither."""
        state = self.states[writer]
        for entry in self.log:
            if entry.writer == writer and entry.visible is None:
                entry.visible = commit
        if commit:
            self.committed |= state.offsets
        state.offsets, state.opened, state.outcome = {}, None, commit

    def fence(self, writer: str) -> None:
        """Abort what is open, and raise the epoch."""
        self._settle(writer, commit=False)
        self.states[writer].epoch += 1
        self.states[writer].serials.clear()

    def time_out(self, writer: str) -> None:
        """Let the coordinator end a transaction that is too old, and fence its producer."""
        opened = self.states[writer].opened
        if opened is not None and self.now - opened >= TRANSACTION_SECONDS:
            self.fence(writer)

    def fetch(self, partitions: set[int]) -> dict[int, int | None] | None:
        """Give the committed offsets, or None while a transaction holds them back."""
        if any(partitions & state.offsets.keys() for state in self.states.values()):
            return None
        places = {partition: self.committed.get(partition) for partition in partitions}
        return {partition: place and place.offset for partition, place in places.items()}

    def visible(self) -> list[Sent]:
        """Give what a read_committed reader sees of the outputs."""
        return [entry.sent for entry in self.log if entry.visible]
