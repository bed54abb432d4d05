"""How long a worker goes on trying without success (rule 7)."""

from __future__ import annotations

import gc
import logging
import threading
import time
from typing import TYPE_CHECKING, Final

from domination.errors import DominationError, Exit

if TYPE_CHECKING:
    from collections.abc import Callable

    from domination.lifecycle import Lifecycle
    from domination.settings import Settings

_RETRY_SECONDS: Final = 0.1
_SILENCE_SECONDS: Final = 5.0
_SHORTEST_SECONDS: Final = 0.5
_LONGEST_SECONDS: Final = 8.0
_STALLED_SECONDS: Final = 15.0
_AWAY_SECONDS: Final = 5.0
_LONGEST_AWAY_SECONDS: Final = 60.0


def within(
    seconds: float, call: Callable[[], object], meanwhile: Callable[[], object] = lambda: None
) -> None:
    """Make a call that may never return; raises what it raises, or `TimeoutError` in its stead.

    After that it is left alone on a thread of its own, which ends with the process at the latest.
    `meanwhile` is called beside it, and is part of the time.
    """
    deadline = time.monotonic() + seconds
    failures: list[Exception] = []

    def run() -> None:
        try:
            call()
        except Exception as error:  # noqa: BLE001 - raised again below
            failures.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    meanwhile()
    thread.join(max(0.0, deadline - time.monotonic()))
    if thread.is_alive():
        raise TimeoutError
    if failures:
        raise failures.pop()  # A frame that kept it would be kept by it, and the client with both.


class Patience:
    """Knows since when there is trouble, says so once, and ends after the availability time-out."""

    def __init__(
        self,
        settings: Settings,
        lifecycle: Lifecycle,
        log: logging.Logger,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._lifecycle = lifecycle
        self._log = log
        self._clock = clock
        self._heard = clock()
        self._trouble_since: float | None = None
        self.call_seconds = _SHORTEST_SECONDS
        """How long the next call may wait for its answer.

        Short, so that a signal is seen soon; twice as long after each trouble, so that an answer
        that is only slow arrives in the end.
        """

    @property
    def tried(self) -> bool:
        """Whether there is trouble."""
        return self._trouble_since is not None

    @property
    def doubtful(self) -> bool:
        """Whether it is time to ask the broker for a sign of life."""
        limit = _SILENCE_SECONDS if self._trouble_since is None else _RETRY_SECONDS
        return self._clock() - self._heard >= limit

    def heard(self) -> None:
        """Note a sign of life."""
        self._heard = self._clock()

    def calm(self) -> None:
        """Note that all is well."""
        self.heard()
        if self._trouble_since is not None:
            self._log.info("going on after %.1f s", self._heard - self._trouble_since)
            self._trouble_since = None
            self.call_seconds = _SHORTEST_SECONDS
            # Exceptions hold frames, and frames the clients whose calls have failed.
            gc.collect()

    def troubled(self, what: str) -> None:
        """Wait a little before the next try; raises once the availability time-out is over."""
        now = self._clock()
        limit = self._settings.availability_timeout_seconds
        level = logging.WARNING if self._trouble_since is None else logging.DEBUG
        self._trouble_since = now if self._trouble_since is None else self._trouble_since
        if now - self._trouble_since > limit:
            raise DominationError(
                Exit.UNAVAILABLE,
                f"no broker at {self._settings.bootstrap_servers} to work with for {limit:g} s "
                f"({what}); start Kafka or set DOMINATION_KAFKA_BOOTSTRAP_SERVERS",
            )
        self._log.log(level, "%s; trying again for %g s", what, limit)
        self.call_seconds = min(self.call_seconds * 2, _LONGEST_SECONDS)
        self._lifecycle.pause(_RETRY_SECONDS)


class Absence:
    """When a worker whose transactions do not get on leaves the group to others, and for how long.

    It may be the only one that is cut off. Without a commit or a pause in the work for so long it
    leaves, and comes back once it has a producer again, yet not at once: if it still cannot commit
    it leaves again, each time for twice as long.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
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
        self._since = self._clock()
        self._due = self._since + _STALLED_SECONDS
        self._failing = False

    def failed(self, what: str, *, answered: bool = False) -> None:
        """Note that a call of the producer failed; one that Kafka has answered is not cut off."""
        self._failing = not answered
        self._failure = what

    @property
    def due(self) -> bool:
        """Whether it is time to leave."""
        return self._failing and not self.away and self._clock() >= self._due

    @property
    def call_seconds(self) -> float:
        """How long a new producer may take to begin, so that it is not late for leaving."""
        if self.away or not self._failing:
            return float("inf")
        return max(_SHORTEST_SECONDS, self._due - self._clock())

    def put_off(self) -> None:
        """Stay, for leaving would help nobody now; see again later."""
        self._due = self._clock() + _STALLED_SECONDS

    @property
    def why(self) -> str:
        """Say what the matter is."""
        return f"no progress for {self._clock() - self._since:.0f} s ({self._failure})"

    def begin(self) -> None:
        """Note that it leaves."""
        self.away, self._left = True, self._clock()

    @property
    def over(self) -> bool:
        """Whether it may come back as soon as it can."""
        return self._clock() - self._left >= self._away_seconds

    def end(self) -> float:
        """Note that it comes back; give the seconds that it was away."""
        self.away = False
        self._away_seconds = min(self._away_seconds * 2, _LONGEST_AWAY_SECONDS)
        self.progressed()
        return self._clock() - self._left
