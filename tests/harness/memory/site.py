"""A site in memory."""

from __future__ import annotations

from itertools import cycle, islice
from typing import TYPE_CHECKING

from harness.memory.group import Group
from harness.memory.kafka import Kafka
from harness.memory.line import Fate, Reply, Sound
from harness.memory.owner import MemoryClock
from harness.memory.reader import MemoryReader
from harness.memory.requests import EndTransaction
from harness.memory.topic import Stored
from harness.memory.writer import MemoryWriter
from harness.site import PARTITIONS, Read, target

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from domination.exactly_once.batch import Record
    from domination.exactly_once.ports import Change
    from harness.memory.requests import Request


class MemorySite:
    """A `Site` on the model of Kafka."""

    input, outputs, dead_letters = "in", ("left", "right"), "dead"

    def __init__(self) -> None:
        self._topic = Stored(PARTITIONS)
        self._kafka = Kafka(self._topic, Group())
        self._clock = MemoryClock(self._kafka)
        self._line = _Line(self._kafka)

    def reader(self, name: str, changes: Callable[[Change], None]) -> MemoryReader:
        reader = MemoryReader(self._kafka, self._line, self._clock, name, changes)
        reader.subscribe()
        return reader

    def writer(self, name: str, outputs: int = 2) -> MemoryWriter:
        return MemoryWriter(self._kafka, self._line, self._clock, target(name, self, outputs))

    def settle(self) -> None:
        group = self._kafka.group
        clients = [each for each in group.clients.values() if each.alive and not each.evicted]
        owners = tuple(islice(cycle(sorted(each.name for each in clients)), PARTITIONS))
        wanted = [{p for p, owner in enumerate(owners) if owner == c.name} for c in clients]
        if [client.granted for client in clients] != wanted or not all(
            client.member for client in clients
        ):
            group.rebalance(owners)
        for client in clients:
            client.sync()

    def send(self, partition: int, *records: Record) -> None:
        self._topic.append(partition, records)

    def send_aborted(self, partition: int) -> int:
        self._topic.append(partition, [None, None])
        return self._topic.ends[partition]

    def hold(self, commit: bool) -> _Held:
        self._line.twice = commit
        return _Held(self._kafka)

    def limit(self, topic: str, size: int) -> None:
        self._kafka.limits[topic] = size

    def read(self, topic: str) -> list[Read]:
        return [Read(*sent[1:]) for sent in self._kafka.visible() if sent.topic == topic]

    def make_again(self) -> None:
        self._kafka.topic_id = "second"
        self._topic.logs = [[] for _ in self._topic.logs]
        self._kafka.committed.clear()

    def ended(self) -> None:
        """Do nothing: it is seen at once."""

    def committed(self) -> Mapping[int, int]:
        return {partition: place.offset for partition, place in self._kafka.committed.items()}


class _Held:
    def __init__(self, kafka: Kafka) -> None:
        self._kafka = kafka

    def deliver(self) -> object:
        return self._kafka.receive(self._kafka.wire.pop())


class _Line(Sound):
    twice: bool | None = None
    """The next request of this kind is sent twice: a commit, or an abort."""

    def send(self, request: Request) -> Reply:
        if isinstance(request, EndTransaction) and request.commit is self.twice:
            self.twice = None
            return Sound(self.kafka, Fate("again")).send(request)
        return super().send(request)
