"""A model of Kafka, as far as exactly once depends on it: one group, two partitions, one output."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

Record = tuple[int, int]
"""The partition and the offset of a record of the input; its outcome has the same name."""

PARTITIONS = range(2)
FIRST = {0: 0, 1: 1}
"""The first offset that retention has left."""
TRANSACTION_SECONDS = 10.0


def is_marker(partition: int, offset: int) -> bool:
    """Tell whether a transaction marker has this offset, and no record."""
    return partition == 1 and offset % 3 == 0


class Answer(Enum):
    OK = auto()
    REFUSED = auto()
    FENCED = auto()
    NONE = auto()
    """The client's time ran out, or its connection broke."""


@dataclass(frozen=True)
class Request:
    """What a producer asks for. It may arrive more than once, and at any time later."""

    writer: str
    epoch: int


@dataclass(frozen=True)
class Init(Request):
    """InitProducerId of a new producer: it has no epoch yet, so nothing fences it."""


@dataclass(frozen=True)
class Produce(Request):
    records: tuple[Record, ...]
    serial: int
    """The sequence number: what has been appended under it is not appended again."""


@dataclass(frozen=True)
class SendOffsets(Request):
    offsets: Mapping[int, int]
    member: str | None
    generation: int


@dataclass(frozen=True)
class EndTransaction(Request):
    commit: bool


class Change(Enum):
    ASSIGNED = auto()
    REVOKED = auto()
    LOST = auto()


@dataclass
class Member:
    """A client's side of the group: what librdkafka knows, and what it has told the worker.

    `member` and `generation` move on in the background. The worker hears of a change by a
    callback, which waits until it polls; as long as one waits librdkafka does not join again.
    """

    name: str
    member: str | None = None
    generation: int = -1
    granted: set[int] = field(default_factory=set)
    claimed: int = -1
    """The generation that `granted` is of."""
    assignment: set[int] | None = None
    """What Kafka has assigned, before SyncGroup is answered."""
    callbacks: list[tuple[Change, set[int]]] = field(default_factory=list)
    alive: bool = True

    def sync(self) -> None:
        """Hear of the assignment: first what goes, then what comes, be it nothing."""
        if self.assignment is None:
            return
        if revoked := self.granted - self.assignment:
            self.callbacks.append((Change.REVOKED, revoked))
        self.callbacks.append((Change.ASSIGNED, self.assignment - self.granted))
        self.assignment, self.claimed = None, self.generation


@dataclass
class Group:
    """The group coordinator: a member is known by its id and the generation, not by its name."""

    eager: bool
    generation: int = 0
    members: dict[str, Member] = field(default_factory=dict)
    clients: dict[str, Member] = field(default_factory=dict)

    def has(self, member: str | None, generation: int) -> bool:
        return member in self.members and generation == self.generation

    def rebalance(self, owners: tuple[str, ...]) -> None:
        """Begin a generation, unless a member that cannot join holds it up.

        A partition goes to its new owner only when no other joins with it: with the cooperative
        protocol it is revoked first, and assigned by the next rebalance.
        """
        aware = [c for c in self.clients.values() if c.member is None or c.member in self.members]
        for client in aware:
            if self.eager and client.granted and not client.callbacks:
                client.callbacks.append((Change.REVOKED, set(client.granted)))
        if any(member.callbacks or not member.alive for member in self.members.values()):
            return
        self.generation += 1
        joining = [client for client in aware if not client.callbacks]
        for client in joining:
            client.member = client.member or f"{client.name}-{self.generation}"
            client.generation, client.assignment = self.generation, set()
            self.members[client.member] = client
        for partition, owner in enumerate(owners):
            self._assign(partition, owner, joining)

    def _assign(self, partition: int, owner: str, joining: list[Member]) -> None:
        claims = [client for client in joining if partition in client.granted]
        # Of two that claim it the one with the older generation has missed something.
        before = max(claims, key=lambda client: client.claimed, default=None)
        heir = next((client for client in joining if client.name == owner), before)
        if heir and heir.assignment is not None and before in (None, heir):
            heir.assignment.add(partition)

    def evict(self, name: str) -> None:
        """End the session of a member that is not heard of any more; a dead one first."""
        mine = [key for key, each in self.members.items() if each.name == name]
        dead = [key for key in mine if not self.members[key].alive]
        for member in dead or mine:
            del self.members[member]

    def tell(self, client: Member, *, lost: bool) -> None:
        """Let a client hear that it is no member any more.

        A heartbeat's answer makes it lose its partitions. The answer to JoinGroup does not, with
        the cooperative protocol: the client keeps them, and joins under another member id.
        """
        if client.member is None or client.member in self.members:
            return
        client.member = client.assignment = None
        if (lost or self.eager) and client.granted and not client.callbacks:
            client.callbacks.append((Change.LOST, set(client.granted)))

    def leave(self, client: Member) -> None:
        self.members = {key: each for key, each in self.members.items() if each is not client}


@dataclass
class Entry:
    """A record in the output's log; None: its transaction is open."""

    record: Record
    writer: str
    visible: bool | None = None


@dataclass
class State:
    """What the transaction coordinator knows of a transactional id."""

    epoch: int = 0
    opened: float | None = None
    outcome: bool | None = None
    offsets: dict[int, int] = field(default_factory=dict)
    serials: set[int] = field(default_factory=set)


@dataclass
class Kafka:
    """The logs, the offsets and the coordinators, and requests that are still under way."""

    group: Group
    states: dict[str, State]
    now: float = 0.0
    log: list[Entry] = field(default_factory=list)
    committed: dict[int, int] = field(default_factory=dict)
    wire: list[Request] = field(default_factory=list)

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
        return {partition: self.committed.get(partition) for partition in partitions}

    def faults(self) -> tuple[list[Record], list[Record]]:
        """Give what is lost, and what is there twice or too early, as the offsets have it."""
        seen = Counter(entry.record for entry in self.log if entry.visible)
        due = Counter(
            (partition, offset)
            for partition, end in self.committed.items()
            for offset in range(FIRST[partition], end)
            if not is_marker(partition, offset)
        )
        return sorted(due - seen), sorted(seen - due)

    def in_order(self) -> bool:
        """Tell whether each partition's records stand in the output in their order."""
        visible = [entry.record for entry in self.log if entry.visible]
        return all(
            (own := [record for record in visible if record[0] == partition]) == sorted(own)
            for partition in PARTITIONS
        )
