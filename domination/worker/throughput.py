"""How fast a worker writes, logged once in a while."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable


class ThroughputLog:
    """Counts what a worker has committed, and logs its rate every `seconds` at most."""

    def __init__(
        self,
        log: logging.Logger,
        seconds: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log = log
        self._seconds = seconds
        self._clock = clock
        self._since = clock()
        self._shadows = self._dead_letters = 0
        self._total = 0

    def count(self, shadows: int, dead_letters: int) -> None:
        """Count what a transaction held that has committed."""
        self._shadows += shadows
        self._dead_letters += dead_letters
        self._total += shadows + dead_letters

    def report(self, *, last: bool = False) -> None:
        """Log the rate if `seconds` have passed; with `last`, log the total instead."""
        passed = self._clock() - self._since
        if last:
            self._log.info("wrote %s records in all", f"{self._total:,}")
        elif passed >= self._seconds:
            if self._shadows or self._dead_letters:
                rate = (self._shadows + self._dead_letters) / passed
                self._log.info(
                    "%s records/s: %s shadows and %s dead letters in %.0f s",
                    *(f"{number:,.0f}" for number in (rate, self._shadows, self._dead_letters)),
                    passed,
                )
            self._since += passed
            self._shadows = self._dead_letters = 0
