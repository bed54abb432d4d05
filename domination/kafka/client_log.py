"""What clients log, without the flood: an unreachable broker makes twenty lines a second."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable


class ClientLog:
    """The logger of clients: it hands on each kind of line at most once in `seconds`.

    A line's kind is librdkafka's facility: FAIL, ERROR, REQTMOUT, … What is at the level debug was
    asked for, and is handed on whole.
    """

    def __init__(
        self,
        logger: logging.Logger,
        seconds: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._logger = logger
        self._seconds = seconds
        self._clock = clock
        self._last: dict[object, float] = {}
        self._over = False

    def log(self, level: int, form: str, *arguments: object) -> None:
        """Take a line of a client; its facility is the first argument."""
        # What is an error for the program as well is raised, and the program says it itself.
        level = min(level, logging.WARNING)
        if self._logger.isEnabledFor(level) and self._wanted(level, arguments[0]):
            self._logger.log(level, form, *arguments)

    def end(self) -> None:
        """Hand on no more than debug: why all ends is told, and the rest would repeat it."""
        self._over = True

    def _wanted(self, level: int, kind: object) -> bool:
        if level <= logging.DEBUG:
            return True
        # A property for the consumer is given to the producer too, and the other way round.
        if self._over or kind == "CONFWARN":
            return False
        now = self._clock()
        if now - self._last.get(kind, float("-inf")) < self._seconds:
            return False
        self._last[kind] = now
        return True


DEFAULT: Final = ClientLog(logging.getLogger("domination.librdkafka"))
"""What all clients log to that are given nothing else: they share its limit."""
