"""How long a worker goes on trying without progress (rule 7)."""

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
        self._trouble: str | DominationError = ""
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
        """Note progress: a commit, or a sign of life while there is nothing to do."""
        self.heard()
        if self._trouble_since is not None:
            self._log.info("going on after %.1f s", self._heard - self._trouble_since)
            self._trouble_since = None
            self.call_seconds = _SHORTEST_SECONDS
            # Exceptions hold frames, and frames the clients whose calls have failed.
            gc.collect()

    def answered(self, *, at_end: bool) -> None:
        """Note a sign of life: no progress while what failed is still to be done; raises as below.

        `at_end` tells that there is nothing to do.
        """
        if at_end or not self.tried:
            self.calm()
        else:
            self.troubled(self._trouble)

    def troubled(self, what: str | DominationError) -> None:
        """Wait a little before the next try; raises once the availability time-out is over.

        An error names the broker and says what to do; of a text only this end does.
        """
        now = self._clock()
        self._trouble = what
        limit = self._settings.availability_timeout_seconds
        level = logging.WARNING if self._trouble_since is None else logging.DEBUG
        self._trouble_since = now if self._trouble_since is None else self._trouble_since
        if now - self._trouble_since > limit:
            raise DominationError(
                Exit.UNAVAILABLE, f"gave up after {limit:g} s: {self._whole(what)}"
            )
        self._log.log(level, "%s; trying again for %g s", what, limit)
        self.call_seconds = min(self.call_seconds * 2, _LONGEST_SECONDS)
        self._lifecycle.pause(_RETRY_SECONDS)

    def _whole(self, what: str | DominationError) -> str:
        if isinstance(what, DominationError):
            return str(what)
        return (
            f"no broker at {self._settings.bootstrap_servers} to work with ({what}); start Kafka "
            "or set DOMINATION_KAFKA_BOOTSTRAP_SERVERS"
        )
