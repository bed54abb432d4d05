"""Whom a session serves: time, the wish to end, and what has to be there, all in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from domination.kafka.faults import FaultError
    from harness.memory.kafka import Kafka


class MemoryClock:
    """The model's time, which only those move on who wait."""

    def __init__(self, kafka: Kafka) -> None:
        self._kafka = kafka

    def now(self) -> float:
        return self._kafka.now

    def sleep(self, seconds: float) -> None:
        self._kafka.now += seconds


class MemoryStop:
    """A wish to end that a test sets."""

    def __init__(self, clock: MemoryClock) -> None:
        self._clock = clock
        self.stopping = False
        self.error: Exception | None = None

    def pause(self, seconds: float) -> None:
        self._clock.sleep(seconds)

    def fail(self, error: Exception) -> None:
        self.error = self.error or error
        self.stopping = True


class MemoryEndOffsets:
    """Who tells the ends of partitions, and that the broker is there, always at once."""

    def __init__(self, kafka: Kafka) -> None:
        self._kafka = kafka
        self._asked: set[int] = set()

    def ask(self, partitions: Iterable[int]) -> None:
        self._asked |= set(partitions)

    def answers(self) -> dict[int, int]:
        asked, self._asked = self._asked, set()
        return {partition: self._kafka.topic.ends[partition] for partition in asked}

    def reach(self, timeout: float) -> bool:
        del timeout
        return True


class Ready:
    """A preflight that finds all there, until it has a fault to raise, and a name for faults."""

    fault: FaultError | None = None
    name: FaultError | None = None

    def require(self, timeout: float) -> None:
        del timeout
        if self.fault:
            raise self.fault

    def named(self, fault: FaultError) -> FaultError:
        return self.name or fault
