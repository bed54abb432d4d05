"""How long a worker goes on trying without progress (rule 7)."""

from __future__ import annotations

import gc
import logging
from typing import TYPE_CHECKING, Final

from domination.exactly_once.errors import GaveUpError
from domination.kafka.faults import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from domination.exactly_once.ports import Clock, Stop

_RETRY_SECONDS: Final = 0.1
_SILENCE_SECONDS: Final = 5.0
_SHORTEST_SECONDS: Final = 0.5
_LONGEST_SECONDS: Final = 8.0


class Availability:
    """Knows since when there is trouble, says so once, and gives up after `limit` seconds.

    `servers` names the brokers in that error; `look` is asked for one that does not answer, where
    that is not known yet. `free` is called when the trouble is over: exceptions
    hold frames, and frames the clients whose calls have failed.
    """

    def __init__(  # noqa: PLR0913 - one by name
        self,
        servers: str,
        limit: float,
        stop: Stop,
        clock: Clock,
        log: logging.Logger,
        *,
        look: Callable[[], UnavailableError | None] = lambda: None,
        free: Callable[[], object] = gc.collect,
    ) -> None:
        self._servers = servers
        self._limit = limit
        self._stop = stop
        self._clock = clock
        self._log = log
        self._look = look
        self._free = free
        self._seen = clock.now()
        self._trouble_since: float | None = None
        self._trouble: str | UnavailableError = ""
        self._call_seconds = _SHORTEST_SECONDS

    @property
    def call_seconds(self) -> float:
        """How long the next call may wait for its answer.

        Short, so that a signal is seen soon; twice as long after each trouble, so that an answer
        that is only slow arrives in the end; but not much longer than the limit.
        """
        if self._trouble_since is None:
            return self._call_seconds
        left = self._trouble_since + self._limit - self._clock.now()
        return max(_SHORTEST_SECONDS, min(self._call_seconds, left))

    @property
    def troubled(self) -> bool:
        """Whether the last thing that was tried has failed."""
        return self._trouble_since is not None

    @property
    def probe_due(self) -> bool:
        """Whether it is time to ask the broker for a sign of life."""
        limit = _SILENCE_SECONDS if self._trouble_since is None else _RETRY_SECONDS
        return self._clock.now() - self._seen >= limit

    def seen(self) -> None:
        """Note a sign of life."""
        self._seen = self._clock.now()

    def recovered(self) -> None:
        """Note progress: a commit, or a sign of life while there is nothing to do."""
        self.seen()
        if self._trouble_since is not None:
            self._log.info("working again after %.1f s", self._seen - self._trouble_since)
            self._trouble_since = None
            self._call_seconds = _SHORTEST_SECONDS
            self._free()

    def answered(self, *, at_end: bool) -> None:
        """Note a sign of life: no progress while what failed is still to be done; raises as below.

        `at_end` tells that there is nothing to do.
        """
        if at_end or not self.troubled:
            self.recovered()
        else:
            self.failed(self._trouble)

    def failed(self, what: str | UnavailableError) -> None:
        """Wait a little before the next try; raises `GaveUpError` once the limit is over."""
        now = self._clock.now()
        self._trouble = what
        level = logging.WARNING if self._trouble_since is None else logging.DEBUG
        self._trouble_since = now if self._trouble_since is None else self._trouble_since
        if now - self._trouble_since > self._limit:
            raise self._gave_up(what)
        self._log.log(level, "%s; trying again for %g s", what, self._limit)
        self._call_seconds = min(self._call_seconds * 2, _LONGEST_SECONDS)
        self._stop.pause(_RETRY_SECONDS)

    def _gave_up(self, what: str | UnavailableError) -> GaveUpError:
        last = what if isinstance(what, UnavailableError) else self._look()
        why = last or f"no broker at {self._servers} can be used ({what})"
        return GaveUpError(f"gave up after {self._limit:g} s: {why}", last)
