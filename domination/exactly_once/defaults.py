"""What two ends work with where their owner gives nothing else."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from domination.exactly_once.ports import Committed

LOG: Final = logging.getLogger("exactly_once")


class Quiet:
    """An `Observer` that nothing is done with."""

    def committed(self, committed: Committed) -> None:
        """Do nothing."""

    def ended(self, outcome: str) -> None:
        """Do nothing."""

    def behind(self, lag: Mapping[int, int]) -> None:
        """Do nothing."""

    def changed(self) -> None:
        """Do nothing."""

    def closed(self) -> None:
        """Do nothing."""


class StopEvent:
    """A `Stop` that its owner sets; it logs the first failure and keeps it."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self.error: Exception | None = None

    @property
    def stopping(self) -> bool:
        """Whether the workers have to drain and end."""
        return self._event.is_set()

    def set(self) -> None:
        """Ask every worker to drain, commit, leave the group and end."""
        self._event.set()

    def pause(self, seconds: float) -> None:
        """Wait, or until the end."""
        self._event.wait(seconds)

    def fail(self, error: Exception) -> None:
        """Note why a worker ends, and let all end."""
        if self.error is None:
            self.error = error
            LOG.error("%s", error, exc_info=error)
        self.set()


class SystemClock:
    """The time of this machine."""

    def now(self) -> float:
        """Tell the time, in seconds."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)
