"""Logging: text for people, JSON lines for programs."""

from __future__ import annotations

import json
import logging
import sys
import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, TextIO

from domination.text import printable, printable_lines

if TYPE_CHECKING:
    from domination.settings import Settings

logger = logging.getLogger("domination")


def worker_logger(worker_index: int) -> logging.Logger:
    """Give the logger of one Bytewax worker."""
    return logging.getLogger(f"domination.worker-{worker_index}")


def configure(settings: Settings) -> None:
    """Send the package's log to stderr at the level and in the form of the settings.

    The warnings of libraries, whose logs nobody has set up, go there in the same form.
    """
    logger.handlers = [_handler(settings)]
    logger.setLevel(settings.log_level.upper())
    logger.propagate = False
    logging.lastResort = _handler(settings)
    logging.lastResort.setLevel(logging.WARNING)


def _handler(settings: Settings) -> logging.StreamHandler[TextIO]:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if settings.log_format == "json" else _Text())
    return handler


class _Text(logging.Formatter):
    converter = staticmethod(time.gmtime)

    def __init__(self) -> None:
        super().__init__(
            "{asctime} {levelname:<7} {name}: {message}", "%Y-%m-%d %H:%M:%SZ", style="{"
        )

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        record.message = printable(record.message)
        return super().formatMessage(record)

    def formatException(self, ei: Any) -> str:  # noqa: N802 - the same
        return printable_lines(super().formatException(ei))


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, timezone.utc).isoformat(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)  # In ASCII: what a terminal obeys is escaped.
