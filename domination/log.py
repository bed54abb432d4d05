"""Logging: text for people, JSON lines for programs, and a limit on what librdkafka repeats."""

from __future__ import annotations

import logging
import sys
import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import orjson

from domination.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable

    from domination.settings import Settings

logger = logging.getLogger("domination")
librdkafka = logging.getLogger("domination.librdkafka")


def worker_logger(worker_index: int) -> logging.Logger:
    """Give the logger of one Bytewax worker."""
    return logging.getLogger(f"domination.worker-{worker_index}")


def configure(settings: Settings) -> None:
    """Send the package's log to stderr at the level and in the form of the settings."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if settings.log_format == "json" else _Text())
    logger.handlers = [handler]
    logger.setLevel(settings.log_level.upper())
    logger.propagate = False
    librdkafka.filters = [Limit()]


class Limit(logging.Filter):
    """Let each kind of librdkafka message through at most once in `seconds`.

    Without a broker librdkafka repeats itself twenty times a second. Its kind is its facility, the
    first argument of each log call: FAIL, ERROR, REQTMOUT, …
    """

    def __init__(self, seconds: float = 10.0, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._seconds = seconds
        self._clock = clock
        self._last: dict[object, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether to let the message through."""
        kind = record.args[0] if isinstance(record.args, tuple) and record.args else record.msg
        # A property for the consumer is given to the producer too, and the other way round.
        if kind == "CONFWARN":
            return False
        # What is an error for us as well, we hear of in another way and say ourselves.
        if record.levelname in ("ERROR", "CRITICAL"):
            record.levelno, record.levelname = logging.WARNING, "WARNING"
        now = self._clock()
        if now - self._last.get(kind, float("-inf")) < self._seconds:
            return False
        self._last[kind] = now
        return True


class _Text(logging.Formatter):
    def __init__(self) -> None:
        super().__init__(
            "{asctime} {levelname:<7} {name}: {message}", "%Y-%m-%d %H:%M:%S", style="{"
        )

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        record.message = printable(record.message)
        return super().formatMessage(record)

    def formatException(self, ei: Any) -> str:  # noqa: N802 - the same
        return "\n".join(map(printable, super().formatException(ei).split("\n")))


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, timezone.utc),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return orjson.dumps(line).decode()
