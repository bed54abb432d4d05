"""When a worker whose transactions do not get on leaves the group, and for how long."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from domination.exactly_once.ports import Clock

_STALLED_SECONDS: Final = 15.0
_AWAY_SECONDS: Final = 5.0
_SHORTEST_SECONDS: Final = 0.5
_LONGEST_AWAY_SECONDS: Final = 60.0


class Absence:
    """When a worker whose transactions do not get on leaves the group to others, and for how long.

    It may be the only one that is cut off. Without a commit or a pause in the work for so long it
    leaves, and comes back once it has a producer again, yet not at once: if it still cannot commit
    it leaves again, each time for twice as long.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failure = ""
        self._left = 0.0
        self.away = False
        """Whether it has left the group."""
        self.committed()

    def committed(self) -> None:
        """Note a commit."""
        self._away_seconds = _AWAY_SECONDS
        self.progressed()

    def progressed(self) -> None:
        """Note that there is nothing to do, or that it begins anew."""
        self._since = self._clock.now()
        self._due = self._since + _STALLED_SECONDS
        self._failing = False

    def failed(self, what: str, *, answered: bool = False) -> None:
        """Note that a call of the producer failed; one that Kafka has answered is not cut off."""
        self._failing = not answered
        self._failure = what

    @property
    def due(self) -> bool:
        """Whether it is time to leave."""
        return self._failing and not self.away and self._clock.now() >= self._due

    @property
    def call_seconds(self) -> float:
        """How long a new producer may take to begin, so that it is not late for leaving."""
        if self.away or not self._failing:
            return float("inf")
        return max(_SHORTEST_SECONDS, self._due - self._clock.now())

    def put_off(self) -> None:
        """Stay, for leaving would help nobody now; see again later."""
        self._due = self._clock.now() + _STALLED_SECONDS

    @property
    def why(self) -> str:
        """Say what the matter is."""
        return f"no progress for {self._clock.now() - self._since:.0f} s ({self._failure})"

    def begin(self) -> None:
        """Note that it leaves."""
        self.away, self._left = True, self._clock.now()

    @property
    def over(self) -> bool:
        """Whether it may come back as soon as it can."""
        return self._clock.now() - self._left >= self._away_seconds

    def end(self) -> float:
        """Note that it comes back; give the seconds that it was away."""
        self.away = False
        self._away_seconds = min(self._away_seconds * 2, _LONGEST_AWAY_SECONDS)
        self.progressed()
        return self._clock.now() - self._left
