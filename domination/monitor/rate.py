"""How fast a total grows."""

from __future__ import annotations

from collections import deque
from typing import Final

CHART_MINUTES: Final = 5
"""How far back the charts go."""

_MEAN_SECONDS: Final = 10.0


class Rate:
    """The growth of a total a second, as the mean of the last `seconds`; it keeps the last `kept`.

    A total that falls, because a table was emptied say, has a rate of 0. Moments are seconds on a
    clock that only goes forward.
    """

    def __init__(self, seconds: float, kept: int = 1) -> None:
        self._seconds = seconds
        self._looks: deque[tuple[float, int]] = deque()
        self.history: deque[tuple[float, float]] = deque(maxlen=kept)
        """Moments and rates, the latest last."""

    def dated(self, moment: float, seconds: float) -> tuple[tuple[float, float], ...]:
        """Give the history with seconds since 1970 for moments; `moment` is `seconds` there."""
        return tuple((seconds - (moment - at), rate) for at, rate in self.history)

    def add(self, moment: float, total: int) -> float | None:
        """Take the total at a moment; give the rate, or None where it is the first for a while."""
        self._looks.append((moment, total))
        while moment - self._looks[0][0] > self._seconds:
            self._looks.popleft()
        since, before = self._looks[0]
        if moment <= since:
            return None
        rate = max(0.0, (total - before) / (moment - since))
        self.history.append((moment, rate))
        return rate


def charted_rate() -> Rate:
    """Make a rate whose history fills a chart: a probe adds to it once a second."""
    return Rate(_MEAN_SECONDS, kept=CHART_MINUTES * 60)
