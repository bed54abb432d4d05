"""What two ends work with where their owner gives nothing else."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Final

from domination.kafka.faults import FaultError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from domination.exactly_once.ports import Committed, Lag

LOG: Final = logging.getLogger("exactly_once")
_NAP_SECONDS: Final = 0.1


class Quiet:
    """An `Observer` that does nothing. Derive from it and override the methods that you need."""

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

    `set` takes no lock, so that a signal handler may call it whatever the main thread is doing.
    """

    def __init__(self, log: logging.Logger = LOG) -> None:
        self._log = log
        self._stopping = False
        self._failing = threading.Lock()
        self.error: Exception | None = None
        """Why the first worker ended that did not want to."""

    @property
    def stopping(self) -> bool:
        """Whether the workers have to drain and end."""
        return self._stopping

    def set(self) -> None:
        """Ask every worker to drain, commit, leave the group and end."""
        self._stopping = True

    def pause(self, seconds: float) -> None:
        """Wait so long, or until the end."""
        until = time.monotonic() + seconds
        while not self._stopping and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, _NAP_SECONDS))

    def fail(self, error: Exception) -> None:
        """Keep the error that ends a worker, and end all workers; log the first such error."""
        with self._failing:
            if self.error is None:
                self.error = error
                self.tell(error)
        self.set()

    def tell(self, error: Exception) -> None:
        """Log why all end: a `FaultError` is one line, anything else has its traceback."""
        if isinstance(error, FaultError):
            self._log.error("%s", error)
        else:
            self._log.error("%s: %s", type(error).__name__, error, exc_info=error)


class SystemClock:
    """The time of this machine."""

    def now(self) -> float:
        """Tell the time, in seconds."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)
