"""What a consumer has fetched ahead of its owner."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.memory.topic import Topic


class Fetcher:
    """The consumer's positions, which run ahead of the worker, and what is fetched already."""

    def __init__(self, topic: Topic) -> None:
        self._topic = topic
        self._places: dict[int, int] = {}
        self._versions: dict[int, int] = {}
        self._fetched: list[tuple[int, tuple[int, int]]] = []
        self._version = 0

    def seek(self, places: Mapping[int, int]) -> None:
        """Read on from these places; what was fetched of their partitions before is void."""
        self._version += 1
        self._places |= places
        self._versions |= dict.fromkeys(places, self._version)

    def forget(self, partitions: set[int]) -> None:
        """Read these no more."""
        for partition in partitions:
            self._places.pop(partition, None)
            self._versions.pop(partition, None)

    def take(self, count: int) -> list[tuple[int, int]]:
        """Fetch more than is wanted; give the partition and the offset of so many, at most."""
        for _ in range(count + 1):
            for partition, place in self._places.items():
                if place < self._topic.ends[partition]:
                    self._fetched.append((self._versions[partition], (partition, place)))
                    self._places[partition] += 1
        valid = [each for each in self._fetched if self._versions.get(each[1][0]) == each[0]]
        self._fetched = valid[count:]
        return [place for _, place in valid[:count]]
