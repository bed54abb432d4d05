"""The input topic in memory: one that never ends, and one that holds what was sent to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from domination.exactly_once.batch import Record

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

INPUT: Final = "in"


class Topic(Protocol):
    """The log of each partition."""

    @property
    def firsts(self) -> Mapping[int, int]:
        """The first offset that retention has left, of each partition."""

    @property
    def ends(self) -> Mapping[int, int]:
        """The offset behind the last record or marker, of each partition."""

    def record(self, partition: int, offset: int) -> Record | None:
        """Give what has an offset; None for a transaction marker."""


class Endless:
    """Two partitions; a record's value is its place, and partition 1 has markers in between."""

    firsts: Mapping[int, int] = {0: 0, 1: 1}
    ends: Mapping[int, int] = {0: 1_000_000, 1: 1_000_000}

    def record(self, partition: int, offset: int) -> Record | None:
        if partition == 1 and offset % 3 == 0:
            return None
        value = f"{partition}:{offset}".encode()
        return Record(INPUT, partition, offset, offset, None, value, [])


class Stored:
    """What was sent, by partition."""

    def __init__(self, partitions: int) -> None:
        self.logs: list[list[Record | None]] = [[] for _ in range(partitions)]

    @property
    def firsts(self) -> Mapping[int, int]:
        return dict.fromkeys(range(len(self.logs)), 0)

    @property
    def ends(self) -> Mapping[int, int]:
        return dict(enumerate(map(len, self.logs)))

    def append(self, partition: int, records: Sequence[Record | None]) -> None:
        """Append records, and markers; their partition and their offsets are given to them."""
        log = self.logs[partition]
        for record in records:
            log.append(record and record._replace(partition=partition, offset=len(log)))

    def record(self, partition: int, offset: int) -> Record | None:
        return self.logs[partition][offset]
