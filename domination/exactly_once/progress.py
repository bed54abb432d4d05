"""How far a worker is behind in each partition, and which of them stand still."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from domination.exactly_once.arrivals import Arrivals
from domination.exactly_once.ports import Lag

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Mapping

    from domination.exactly_once.ports import Clock, EndOffsets, Place

_ASK_SECONDS: Final = 5.0
_STILL_SECONDS: Final = 10.0
_NAMED: Final = 5
"""Most partitions that one line of the log names."""


class Progress:
    """Holds what a worker has committed against what there is.

    The end as of the last fetch is stale where fetches get no answer. So the brokers are asked for
    the ends of the partitions that do not move, on another way.
    """

    def __init__(
        self,
        topic: str,
        end_offsets: EndOffsets,
        clock: Clock,
        log: logging.Logger,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._topic = topic
        self._end_offsets = end_offsets
        self._log = log
        self._clock = clock
        self._wall = wall
        self._arrivals: dict[int, Arrivals] = {}
        self._asked_at = clock.now()
        self._before: dict[int, int] = {}
        """What was committed at the last look."""
        self._readable: dict[int, int] = {}
        """How far each partition can be read, as far as is known."""
        self._moved: dict[int, tuple[int, float]] = {}
        """What is committed of each partition, and since when there is more that is not."""
        self._still: dict[int, float] = {}
        """The partitions that are known to stand still, and since when."""

    def look(self, places: Mapping[int, Place]) -> dict[int, Lag]:
        """Give how far the worker is behind in each partition; log where it stands still.

        Call it about once a second. No places at all say nothing: the worker is no member then.
        """
        now = self._clock.now()
        self._readable |= self._end_offsets.answers()
        lag = {number: self._look(number, place, now) for number, place in places.items()}
        if places:
            self._forget(self._moved.keys() - places.keys())
            self._tell(places, lag, now)
        committed = {number: place.committed for number, place in places.items()}
        if now - self._asked_at >= _ASK_SECONDS:
            self._asked_at = now
            self._end_offsets.ask([n for n, at in committed.items() if self._before.get(n) == at])
        self._before = committed
        return lag

    def _look(self, number: int, place: Place, now: float) -> Lag:
        readable = max(place.read, self._readable.get(number, 0))
        committed, _ = self._moved.get(number, (None, now))
        if committed != place.committed or readable <= place.committed:
            self._moved[number] = (place.committed, now)
        end = max(place.committed, place.end, readable)
        age = self._wall() - place.timestamp / 1000 if place.timestamp >= 0 else 0.0
        arrivals = self._arrivals.setdefault(number, Arrivals(now))
        return Lag(end - place.committed, arrivals.waited(place.committed, end, now, age))

    def _forget(self, numbers: set[int]) -> None:
        for number in numbers:
            self._moved.pop(number)
            self._arrivals.pop(number)
            self._readable.pop(number, None)
            self._still.pop(number, None)

    def _tell(self, places: Mapping[int, Place], lag: Mapping[int, Lag], now: float) -> None:
        since = {number: moved for number, (_, moved) in self._moved.items()}
        still = {number: at for number, at in since.items() if now - at >= _STILL_SECONDS}
        if new := sorted(still.keys() - self._still.keys()):
            told = [
                f"{self._topic} [{number}] at offset {places[number].committed} "
                f"with a lag of {lag[number].records} for {now - still[number]:.0f} s"
                for number in new
            ]
            self._log.warning("stands still: %s", _listed(told))
        if gone := sorted(self._still.keys() - still.keys()):
            told = [
                f"{self._topic} [{number}] after {now - self._still[number]:.0f} s"
                for number in gone
            ]
            self._log.info("moves again: %s", _listed(told))
        self._still = still


def _listed(told: list[str]) -> str:
    more = len(told) - _NAMED
    return ", ".join(told[:_NAMED]) + (f", and {more} more" if more > 0 else "")
