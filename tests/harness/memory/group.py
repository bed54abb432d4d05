"""A model of a consumer group: who is a member, and what each has been told."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto


class Told(Enum):
    """What a client calls its owner back for."""

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
    callbacks: list[tuple[Told, set[int]]] = field(default_factory=list)
    alive: bool = True
    evicted: bool = False
    """Whether another client has taken its name, or Kafka fences it for good."""

    def sync(self) -> None:
        """Hear of the assignment: first what goes, then what comes, be it nothing."""
        if self.assignment is None:
            return
        if revoked := self.granted - self.assignment:
            self.callbacks.append((Told.REVOKED, revoked))
        self.callbacks.append((Told.ASSIGNED, self.assignment - self.granted))
        self.assignment, self.claimed = None, self.generation


@dataclass
class Group:
    """The group coordinator: a member is known by its id and the generation, not by its name."""

    eager: bool = False
    generation: int = 0
    members: dict[str, Member] = field(default_factory=dict)
    clients: dict[str, Member] = field(default_factory=dict)

    def has(self, member: str | None, generation: int) -> bool:
        return member in self.members and generation == self.generation

    def join(self, client: Member) -> None:
        """Let a client in; one that lives under the same name is fenced."""
        before = self.clients.get(client.name)
        if before and before.alive and before is not client:
            self.expel(before)
        self.clients[client.name] = client

    def expel(self, client: Member) -> None:
        """Fence a client for good: it will hear of it when it polls."""
        client.evicted = True
        self.leave(client)

    def rebalance(self, owners: tuple[str, ...]) -> None:
        """Begin a generation, unless a member that cannot join holds it up.

        A partition goes to its new owner only when no other joins with it: with the cooperative
        protocol it is revoked first, and assigned by the next rebalance.
        """
        aware = [
            client
            for client in self.clients.values()
            if not client.evicted and (client.member is None or client.member in self.members)
        ]
        for client in aware:
            if self.eager and client.granted and not client.callbacks:
                client.callbacks.append((Told.REVOKED, set(client.granted)))
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
            client.callbacks.append((Told.LOST, set(client.granted)))

    def leave(self, client: Member) -> None:
        self.members = {key: each for key, each in self.members.items() if each is not client}
