"""How the demo looks: a live view on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Protocol

from domination.errors import needs_extra

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TextIO

    from domination.demo.counts import Snapshot

_LINE_SECONDS: Final = 1.0


class View(Protocol):
    """Shows what it is given."""

    def show(self, snapshot: Snapshot) -> None:
        """Show the state."""


def live(stream: TextIO) -> bool:
    """Tell whether a stream goes to a terminal that can write over what it shows."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


@contextmanager
def open_view(title: str) -> Iterator[View]:
    """Open a view for the kind of output that there is."""
    if not live(sys.stdout):
        print(title, flush=True)  # noqa: T201 - it is what people look at
        yield _Lines()
        return
    with needs_extra("the live view"):
        from domination.demo.panel import live_view  # noqa: PLC0415 - rich is an extra
    with live_view(title) as screen:
        yield screen


class _Lines:
    def __init__(self) -> None:
        self._shown = float("-inf")

    def show(self, snapshot: Snapshot) -> None:
        now = time.monotonic()
        if now - self._shown >= _LINE_SECONDS:
            self._shown = now
            print(snapshot.line(), flush=True)  # noqa: T201 - the same
