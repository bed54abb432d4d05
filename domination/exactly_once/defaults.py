"""What two ends work with where their owner gives nothing else."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Final

from domination.kafka.faults import FaultError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from domination.exactly_once.ports import Committed, Lag

LOG: Final = logging.getLogger("exactly_once")
_NAP_SECONDS: Final = 0.1


class Quiet:
    """An `Observer` that does nothing: a base for those that care for some of what they hear."""

    def committed(self, committed: Committed) -> None:
        """Do nothing."""

    def ended(self, outcome: str) -> None:
        """Do nothing."""

    def behind(self, lag: Mapping[int, Lag]) -> None:
        """Do nothing."""

    def changed(self) -> None:
        """Do nothing."""

    def closed(self) -> None:
        """Do nothing."""


class StopEvent:
    """A `Stop` that its owner sets; it logs the first failure to `log` and keeps it.

    It has no lock, so that a signal handler may set it whatever the main thread is doing.
    """

    def __init__(self, log: logging.Logger = LOG) -> None:
        self._log = log
        self._stopping = False
        self.error: Exception | None = None

    @property
    def stopping(self) -> bool:
        """Whether the workers have to drain and end."""
        return self._stopping

    def set(self) -> None:
        """Ask every worker to drain, commit, leave the group and end."""
        self._stopping = True

    def pause(self, seconds: float) -> None:
        """Wait, or until the end."""
        until = time.monotonic() + seconds
        while not self._stopping and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, _NAP_SECONDS))

    def fail(self, error: Exception) -> None:
        """Note why a worker ends, and let all end: a `FaultError` is one line, else a traceback."""
        if self.error is None:
            self.error = error
            known = isinstance(error, FaultError)
            self._log.error("%s", error, exc_info=None if known else error)
        self.set()


class SystemClock:
    """The time of this machine."""

    def now(self) -> float:
        """Tell the time, in seconds."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)
