"""Where a member of a group is in each partition: read, committed, to be committed. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domination.exactly_once.rule import Position

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from collections.abc import Set as AbstractSet


class Offsets:
    """The offsets of one member, by partition, since it last went to the committed ones."""

    def __init__(self) -> None:
        self.next: dict[int, int] = {}
        """That of the next record to hand on."""
        self.committed: dict[int, int] = {}
        """The group's own."""
        self.timestamps: dict[int, int] = {}
        """The timestamps of the last records committed, where they have one."""
        self._ended: set[int] = set()
        """The partitions that have been read to their end."""
        self._unled: dict[int, Position] = {}
        """Positions to commit that no record leads to: first offsets, and ends behind markers."""

    def rewind(self, places: Mapping[int, int], unled: Mapping[int, Position]) -> None:
        """Begin again from the committed offsets; `unled` is what is to be committed of them."""
        self.next, self.committed, self.timestamps = dict(places), dict(places), {}
        self._ended = set()
        self._unled = dict(unled)

    def advance(self, positions: Mapping[int, Position]) -> None:
        """Note what has been read: there is more to each of these partitions than was known."""
        self.next |= _offsets(positions)
        self._ended -= positions.keys()

    def end(self, partition: int, offset: int, granted: AbstractSet[int]) -> None:
        """Note the end of a partition; where only markers are before it, read past them."""
        self._ended.add(partition)
        if partition in granted and offset > self.next.get(partition, offset):
            self.next[partition] = offset
            self._unled[partition] = Position(offset)

    def take_unled(self, granted: AbstractSet[int]) -> dict[int, Position]:
        """Give the positions to commit that no record leads to, each once."""
        unled, self._unled = self._unled, {}
        return {
            partition: position
            for partition, position in unled.items()
            if partition in granted and position.offset == self.next[partition]
        }

    def commit(self, positions: Mapping[int, Position]) -> dict[int, int]:
        """Note positions that are the group's now; give their offsets."""
        offsets = _offsets(positions)
        self.committed |= offsets
        self.timestamps |= {n: at.timestamp for n, at in positions.items() if at.timestamp >= 0}
        return offsets

    def following(self, granted: AbstractSet[int]) -> dict[int, int]:
        """Give the offset of the next record of each of these partitions; any thread may ask."""
        # Another thread may change both meanwhile: each is copied in one step.
        following = dict(self.next)
        return {number: following[number] for number in sorted(following.keys() & granted)}

    @property
    def settled(self) -> bool:
        """Whether nothing has been read that is not committed."""
        return self.next == self.committed

    def at_end(self, granted: Iterable[int]) -> bool:
        """Tell whether all of these partitions have been read to their end."""
        return self._ended.issuperset(granted)


def _offsets(positions: Mapping[int, Position]) -> dict[int, int]:
    return {partition: position.offset for partition, position in positions.items()}
