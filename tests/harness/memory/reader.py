"""A `Reader` on the model of Kafka."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from domination.exactly_once.batch import Records
from domination.exactly_once.errors import MadeAgainError
from domination.exactly_once.ports import (
    CallError,
    Change,
    EvictedError,
    NotYetToldError,
    Place,
)
from domination.exactly_once.rule import Position
from harness.memory.fetcher import Fetcher
from harness.memory.group import Member, Told
from harness.memory.topic import INPUT

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

    from domination.exactly_once.batch import Headers, Record
    from harness.memory.kafka import Kafka
    from harness.memory.line import Line
    from harness.memory.owner import MemoryClock

_WANTED: Final = 3000


class MemoryReader:
    """Reads the model's topic as one member of its group, named `name`."""

    def __init__(
        self,
        kafka: Kafka,
        line: Line,
        clock: MemoryClock,
        name: str,
        changes: Callable[[Change], None],
    ) -> None:
        self.kafka = kafka
        self.client = Member(name)
        self.wanted = _WANTED
        self.member = False
        self._line = line
        self._clock = clock
        self._changes = changes
        self._fetcher = Fetcher(kafka.topic)
        self._topic_id = ""
        self._told: str | None = None
        """The membership at the last callback."""
        self._places: dict[int, int] = {}
        self._committed: dict[int, int] = {}
        self._timestamps: dict[int, int] = {}
        self._unled: dict[int, Position] = {}
        self._failures: list[Exception] = []

    def subscribe(self) -> None:
        self.kafka.group.join(self.client)

    def poll(self, wait: float, most: int) -> tuple[Records | None, dict[int, Position]]:
        if self.client.evicted:
            raise EvictedError("another member has this one's name")
        taken = self._fetcher.take(min(self._line.fate.records, most))
        if not taken:
            self._clock.sleep(wait)
        if self._line.fate.told and self.hears(most):
            self._serve()
        if self._failures:
            raise self._failures.pop(0)
        return self._sorted(taken)

    def hears(self, most: int) -> bool:
        """Tell whether a poll for so many records serves a callback."""
        del most
        return True

    def _sorted(self, taken: list[tuple[int, int]]) -> tuple[Records | None, dict[int, Position]]:
        """Tell records from markers."""
        found = [self.kafka.topic.record(*place) for place in taken]
        records = [record for record in found if record]
        positions = {
            each.partition: Position(each.offset + 1, timestamp=each.timestamp) for each in records
        }
        self._places |= {partition: position.offset for partition, position in positions.items()}
        for partition, offset in taken:
            if partition in self.client.granted and offset >= self._places.get(partition, offset):
                self._places[partition] = offset + 1
                self._unled[partition] = Position(offset + 1)
        return Polled(records) if records else None, positions

    def rewind(self, timeout: float, *, again: bool = False) -> Hashable:
        membership = self.client.member
        if not self.told:
            raise NotYetToldError
        self.require_topic()
        places = self.kafka.fetch(self.client.granted)
        if not self._line.hears() or places is None:
            self._clock.sleep(timeout)
            raise CallError("waiting for the committed offsets")
        firsts = self.kafka.topic.firsts
        self._places = {p: firsts[p] if at is None else at for p, at in places.items()}
        self._committed, self._timestamps = dict(self._places), {}
        self._unled = {
            p: Position(self._places[p]) for p, at in places.items() if again or at is None
        }
        self._fetcher.seek(self._places)
        return membership

    @property
    def told(self) -> bool:
        """Whether the partitions granted are those of this membership.

        librdkafka may be a member again, under another id, before it tells what is assigned.
        """
        return self.client.member == self._told

    def membership(self) -> tuple[tuple[str | None, int], Hashable]:
        return (self.client.member, self.client.generation), self.client.member

    def require_topic(self) -> None:
        """Raise `MadeAgainError` where the topic is another one than it was at first."""
        self._topic_id = self._topic_id or self.kafka.topic_id
        if self._topic_id != self.kafka.topic_id:
            raise MadeAgainError("group", INPUT)

    def take_unled(self) -> dict[int, Position]:
        unled, self._unled = self._unled, {}
        return {
            partition: position
            for partition, position in unled.items()
            if partition in self.client.granted and position.offset == self._places[partition]
        }

    @property
    def at_end(self) -> bool:
        ends = self.kafka.topic.ends
        return all(self._places.get(p, -1) >= ends[p] for p in self.client.granted)

    @property
    def reading(self) -> dict[int, int]:
        return {p: at for p, at in self._places.items() if p in self.client.granted}

    @property
    def has_partitions(self) -> bool:
        return bool(self.client.granted)

    def committed(self, positions: Mapping[int, Position]) -> None:
        self._committed |= {partition: each.offset for partition, each in positions.items()}
        self._timestamps |= {p: at.timestamp for p, at in positions.items() if at.timestamp >= 0}

    def places(self) -> dict[int, Place]:
        ends = self.kafka.topic.ends
        known = self.client.granted & self._committed.keys()
        return {
            p: Place(self._committed[p], self._places[p], ends[p], self._timestamps.get(p, -1))
            for p in known
        }

    def is_heard(self, timeout: float) -> bool:
        del timeout
        return True

    def leave(self, timeout: float) -> None:
        self.kafka.group.leave(self.client)
        self.close(timeout)

    def close(self, timeout: float) -> None:
        del timeout
        self.client.alive = False
        self._changes = _nothing

    def _serve(self) -> None:
        """Call back, and then come to what the group has said."""
        if not self.client.callbacks:
            return
        told, partitions = self.client.callbacks[0]
        try:
            self._changes(Change.LOST if told is Told.LOST else Change.ORDERLY)
        except Exception as error:  # noqa: BLE001 - raised again by poll
            self._failures.append(error)
        if told is Told.ASSIGNED:
            self.client.granted |= partitions
        else:
            self.client.granted -= partitions
            self._fetcher.forget(partitions)
        self.member = told is not Told.LOST
        self._told = self.client.member
        self.client.callbacks.pop(0)


class Polled(Records):
    """The records of a poll, from whole ones."""

    def __init__(self, records: Sequence[Record]) -> None:
        super().__init__(records[0].topic, [record.value for record in records])
        self._whole = records

    @property
    def keys(self) -> Sequence[bytes | None]:
        return [record.key for record in self._whole]

    @property
    def headers(self) -> Sequence[Headers | None]:
        return [record.headers or None for record in self._whole]

    @property
    def timestamps(self) -> Sequence[int]:
        return [record.timestamp for record in self._whole]

    @property
    def partitions(self) -> Sequence[int]:
        return [record.partition for record in self._whole]

    @property
    def offsets(self) -> Sequence[int]:
        return [record.offset for record in self._whole]


def _nothing(_change: Change) -> None:
    pass
