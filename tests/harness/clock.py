"""A clock that stands still until it is told."""

from __future__ import annotations


class Clock:
    """A `Clock` of the library; `time` is what it tells."""

    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds
