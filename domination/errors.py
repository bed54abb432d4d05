"""Expected ends: what stopped the program, in one line, with an exit code that means it."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from enum import IntEnum
from typing import TYPE_CHECKING

from domination import __version__
from domination.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator


class Exit(IntEnum):
    """The exit codes, from sysexits.h where it has one."""

    OK = 0
    BUG = 1
    USAGE = 2
    UNAVAILABLE = 69
    """No broker, or no ClickHouse."""
    MEMORY = 71
    """The system has no more memory to give."""
    TEMPORARY = 75
    """Fenced or evicted: start the worker again."""
    REFUSED = 77
    """Authentication or rights."""
    SETTING = 78
    """A wrong setting, or something that should be there is not."""


class DominationError(Exception):
    """An expected end: one line that says what happened and what to do."""

    def __init__(self, exit_code: Exit, message: str) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@contextmanager
def needs_extra(what: str, extra: str = "demo") -> Iterator[None]:
    """Turn an `ImportError` within into an expected end (78) that names the extra to install."""
    try:
        yield
    except ImportError as error:
        where = (
            "in a checkout: pip install '." if "dev" in __version__ else "pip install 'domination"
        )
        raise DominationError(Exit.SETTING, f"{what} needs an extra; {where}[{extra}]'") from error


@contextmanager
def exit_on_error() -> Iterator[None]:
    """Turn an expected end within into one line on stderr and its exit code."""
    try:
        yield
    except DominationError as error:
        print(printable(f"domination: {error}"), file=sys.stderr)  # noqa: T201 - the log may not be set up
        sys.exit(error.exit_code)
