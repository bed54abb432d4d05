"""What NiceGUI and the servers under it log: a short line each, and few.

They write tracebacks and what clients have sent, each time a client wants it.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Final

from domination.log import logger
from domination.monitor.allowance import Allowance
from domination.text import printable, shortened

if TYPE_CHECKING:
    from collections.abc import Callable

NAMES: Final = (
    *("asyncio", "engineio.server", "nicegui", "socketio.server"),
    *("uvicorn", "uvicorn.access", "uvicorn.asgi", "uvicorn.error"),
)
"""The loggers that speak of clients."""

_LINES: Final = 10
_SECONDS_A_LINE: Final = 6.0
_LONGEST: Final = 200


def shorten(clock: Callable[[], float] = time.monotonic) -> None:
    """Let the log have a line of each warning, ten at once and ten a minute at most."""
    handler = _Short(Allowance(_LINES, 1 / _SECONDS_A_LINE, clock))
    for name in NAMES:
        foreign = logging.getLogger(name)
        foreign.handlers = [handler]
        foreign.propagate = False


class _Short(logging.Handler):
    def __init__(self, allowance: Allowance) -> None:
        super().__init__(logging.WARNING)
        self._allowance = allowance
        self._left_out = 0

    def emit(self, record: logging.LogRecord) -> None:
        if not self._allowance.take():
            self._left_out += 1
            return
        error = record.exc_info and record.exc_info[1]
        told = f"{record.getMessage().strip()}{f': {type(error).__name__}' if error else ''}"
        line = shortened(printable(told), _LONGEST)
        more = f" ({self._left_out:,} more left out)" if self._left_out else ""
        self._left_out = 0
        # A fault of ours may be among them.
        trace = record.exc_info if logger.isEnabledFor(logging.DEBUG) else None
        logger.log(record.levelno, "the page's server: %s%s", line, more, exc_info=trace)
