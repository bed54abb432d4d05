"""The view of the demo: live on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Protocol

from domination.errors import needs_extra
from domination.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TextIO

    from domination.demo.counts import Snapshot

_LINE_SECONDS: Final = 1.0


class View(Protocol):
    """Shows one snapshot after the other."""

    def show(self, snapshot: Snapshot) -> None:
        """Show a snapshot."""


def live(stream: TextIO) -> bool:
    """Tell whether a stream goes to a terminal that can move its cursor."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


@contextmanager
def open_view(title: str) -> Iterator[View]:
    """Open the view that fits standard output."""
    if not live(sys.stdout):
        print(printable(title), flush=True)  # noqa: T201 - people look at it
        yield _Lines()
        return
    with needs_extra("the live view"):
        from domination.demo.panel import live_view  # noqa: PLC0415 - rich is an extra
    with live_view(title) as view:
        yield view


class _Lines:
    def __init__(self) -> None:
        self._shown = float("-inf")

    def show(self, snapshot: Snapshot) -> None:
        now = time.monotonic()
        if now - self._shown >= _LINE_SECONDS:
            self._shown = now
            print(printable(snapshot.line()), flush=True)  # noqa: T201 - the same
