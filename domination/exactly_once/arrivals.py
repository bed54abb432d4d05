"""How long the oldest record of a partition has waited, told from the ends seen there. Pure.

Kafka Lag Exporter estimates lag in time in the same way: it keeps when a partition had which end.
It interpolates between two looks; this takes the earlier one.
"""

from __future__ import annotations

from bisect import bisect_right
from operator import itemgetter
from typing import Final

_EXACT: Final = 16
"""Between two looks that are kept there is at most this part of the longest wait, or one look."""


class Arrivals:
    """The looks at the end of one partition that still say something; `now` is the first."""

    def __init__(self, now: float) -> None:
        self._began = now
        self._looks: list[tuple[int, float]] = []
        """Ends, rising, and the last moment at which each was the end."""

    def waited(self, committed: int, end: int, now: float, age: float) -> float:
        """Note the end; give how long there has been more than what is committed, in seconds.

        A record that was there before the first look has waited since then, or for `age`, that of
        the last committed record, where that is longer.
        """
        self._note(end, now)
        past = bisect_right(self._looks, committed, key=itemgetter(0))
        if not past:
            return max(now - self._began, age)
        del self._looks[: past - 1]
        return now - self._looks[0][1]

    def _note(self, end: int, now: float) -> None:
        looks = self._looks
        if looks and looks[-1][0] >= end:
            end, _ = looks.pop()
        elif len(looks) > 1 and now - looks[-2][1] < (now - looks[0][1]) / _EXACT:
            looks.pop()
        looks.append((end, now))
