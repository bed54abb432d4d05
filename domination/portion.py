"""How many records a transaction may have where the way to the broker is slow."""

from __future__ import annotations

from typing import Final

_MOST: Final = 100_000
_QUICK_SECONDS: Final = 2.0


class Portion:
    """The most records of one transaction: as many as come, until one could not end in time.

    Then half of what was sent by then, or less where a broker has told how long it throttles, so
    that any link that moves data at all makes progress; and twice as many after each transaction
    that was quick. Times are seconds on one clock.
    """

    def __init__(self) -> None:
        self._most: int | None = None
        self._records = 0
        self._began = 0.0

    def begin(self, now: float) -> None:
        """Note that a transaction opens."""
        self._records = 0
        self._began = now

    def add(self, records: int) -> None:
        """Note records of the open transaction."""
        self._records += records

    def next(self, wanted: int) -> int:
        """Give how many records of those wanted to take next, at least one."""
        if self._most is None:
            return wanted
        return max(1, min(wanted, self._most - self._records))

    @property
    def full(self) -> bool:
        """Whether the open transaction has all the records that it may have."""
        return self._most is not None and self._records >= self._most

    def committed(self, now: float) -> None:
        """Note that the transaction has committed."""
        if self._most is not None and self.full and now - self._began < _QUICK_SECONDS:
            self._most = self._most * 2 if self._most < _MOST else None
        self._records = 0

    def failed(self, unsent: int, throttled: float) -> None:
        """Note that it failed, with so many of its records not sent by then.

        `throttled` is for how many seconds a broker has held the connection back since. Of this
        transaction no more is told: another failure before the next one opens changes nothing.
        """
        if self._records:
            sent = max(0, self._records - unsent)
            shares = max(2.0, throttled / _QUICK_SECONDS)
            self._most = max(1, int(sent / shares))
            self._records = 0
