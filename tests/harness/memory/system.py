"""A model of two workers of one group, and of what may happen to them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from domination.exactly_once.batch import BrokenContractError
from domination.kafka.faults import FencedError
from harness.memory.assembly import Kinds
from harness.memory.group import Group
from harness.memory.kafka import Kafka
from harness.memory.line import Fate, Sound
from harness.memory.requests import Init, Request
from harness.memory.worker import IDLE, Worker

if TYPE_CHECKING:
    from harness.memory.requests import Sent

WORKERS = ("a", "b")


class System:
    """Two workers, one group, and Kafka; what happens to them is a method each."""

    def __init__(self, kinds: Kinds = Kinds(), *, eager: bool = False) -> None:  # noqa: B008 - a value
        self.kinds = kinds
        self.kafka = Kafka(group=Group(eager))
        self.taken: set[str] = set()
        """Transactional ids that another producer may have taken."""
        self.workers = {name: Worker(name, self.kafka, kinds) for name in WORKERS}

    def close(self) -> None:
        """End all threads."""
        for worker in self.workers.values():
            worker.kill()

    def act(self, name: str, fate: Fate = Fate()) -> None:  # noqa: B008 - it never changes
        """Let a worker go on to the next point where others may come between."""
        worker = self.workers[name]
        worker.go_on(fate)
        if worker.waits_for is None:
            if isinstance(worker.error, FencedError):
                assert name in self.taken, "fenced, and by no other producer"
            elif worker.error:
                assert isinstance(worker.error, BrokenContractError), worker.error
                assert worker.in_flight, "waits for batches that there are not"
            self.crash(name)

    def arrive_late(self, index: int = 0) -> None:
        """Let a request arrive that its client has given up, or sent again."""
        request = self.kafka.wire.pop(index)
        if isinstance(request, Init):
            self.taken.add(request.writer)
        self.kafka.receive(request)

    def flush(self, name: str, outcome: str = "ok") -> None:
        """Let the producer send in the background what it has."""
        self.workers[name].writer.flush(Sound(self.kafka, Fate(outcome)))

    def work(  # noqa: PLR0913 - each is a way to go well
        self,
        name: str,
        steps: int = 8,
        records: int = 2,
        *,
        again: bool = False,
        sync: bool = True,
        sink: bool = True,
    ) -> None:
        """Let all go well for a while.

        Maybe each request is sent twice, SyncGroup has no answer, or no batch reaches the sink.
        """
        for _ in range(steps):
            worker = self.workers[name]
            self.kafka.now += 0.5
            if sync:
                worker.reader.client.sync()
            twice = again and not isinstance(worker.waits_for, Init)
            self.act(name, Fate("again" if twice else "ok", records))
            worker = self.workers[name]
            while sink and worker.waits_for == IDLE and worker.in_flight:
                worker.reach_the_sink()

    def until(self, name: str, point: type[Request], *, sink: bool = True) -> Worker:
        """Let all go well until a worker is about to send a request of a kind."""
        for _ in range(60):
            worker = self.workers[name]
            if isinstance(worker.waits_for, point):
                return worker
            self.kafka.now += 0.5
            self.act(name)
            if sink:
                worker.reach_the_sink()
        raise AssertionError(f"{name} never comes to {point.__name__}")

    def crash(self, name: str, *, sent: bool = False) -> None:
        """Kill a worker and start it again; its membership and its transaction stay for a while."""
        worker = self.workers[name]
        if sent and isinstance(worker.waits_for, Request):
            self.kafka.wire.append(worker.waits_for)
        worker.kill()
        self.workers[name] = Worker(name, self.kafka, self.kinds)

    def freeze(self, name: str, steps: int = 0) -> None:
        """Let a member miss its session, and the other one read its partitions."""
        other = next(each for each in WORKERS if each != name)
        self.kafka.group.evict(name)
        # Again, since with the cooperative protocol partitions may have to be given up first.
        self.kafka.group.rebalance((other, other))
        self.work(other, steps)
        for _ in range(steps):
            if not self.workers[other].reader.client.callbacks:
                break
            self.work(other, 1)

    def expel(self, name: str) -> None:
        """Fence a member for good, as one does that takes its name and goes away again."""
        self.kafka.group.expel(self.workers[name].reader.client)

    def take_id(self, name: str) -> None:
        """Let another producer take the transactional id."""
        self.taken.add(name)
        self.kafka.fence(name)

    def tell(self, name: str, *, lost: bool) -> None:
        self.kafka.group.tell(self.workers[name].reader.client, lost=lost)

    def settle(self) -> None:
        """Let the faults end: whatever has happened, both workers find back to work."""
        self.kafka.wire.clear()
        before, firsts = dict(self.kafka.committed), self.kafka.topic.firsts
        for _ in range(60):
            for member in list(self.kafka.group.members.values()):
                if not member.alive:
                    self.kafka.group.evict(member.name)
            for name in WORKERS:
                self.tell(name, lost=True)
                self.kafka.time_out(name)
            self.kafka.group.rebalance(WORKERS)
            for name in WORKERS:
                self.work(name, 12)
            self.check()
            owners = [self.workers[name].reader.client.granted for name in WORKERS]
            if owners == [{0}, {1}] and all(
                p in self.kafka.committed
                and self.kafka.committed[p].offset > (before[p].offset if p in before else first)
                for p, first in firsts.items()
            ):
                return
        raise AssertionError("a worker does not find back to work")

    def check(self) -> None:
        """At any moment the output is exactly what the committed offsets say has been read."""
        lost, twice = self.faults()
        assert not lost, f"lost: {lost}"
        assert not twice, f"twice: {twice}"
        assert self.in_order(), "out of order"

    def faults(self) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """Give what is lost, and what is there twice or too early, as the offsets have it."""
        topic = self.kafka.topic
        seen = Counter(map(place, self.kafka.visible()))
        due = Counter(
            (partition, offset)
            for partition, end in self.kafka.committed.items()
            for offset in range(topic.firsts[partition], end.offset)
            if topic.record(partition, offset)
        )
        return sorted(due - seen), sorted(seen - due)

    def in_order(self) -> bool:
        """Tell whether each partition's records stand in each output in their order."""
        columns: dict[tuple[str, int], list[int]] = {}
        for sent in self.kafka.visible():
            partition, offset = place(sent)
            columns.setdefault((sent.topic, partition), []).append(offset)
        return all(column == sorted(column) for column in columns.values())


def place(sent: Sent) -> tuple[int, int]:
    """Give the partition and the offset of the input record that became this."""
    partition, offset = (sent.value or b"").split(b":")
    return int(partition), int(offset)
