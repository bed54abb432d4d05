"""The live view of the demo, drawn by rich, which only the extra `demo` installs."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from rich.bar import Bar
from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from domination.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import RenderableType

    from domination.demo.counts import Snapshot

_BAR: Final = 40
_COLOURS: Final = {"Incompatible": "red", "Sha": "yellow", "Dow": "cyan", "ShaDow": "magenta"}


@contextmanager
def live_view(title: str) -> Iterator[LiveView]:
    """Take a part of the terminal; what it showed last stays there."""
    # With NO_COLOR alone rich still writes bold and dim.
    plain = bool(os.environ.get("NO_COLOR"))
    console = Console(color_system=None if plain else "auto")
    with Live(console=console, auto_refresh=False) as live:
        yield LiveView(live, title)


class LiveView:
    """A panel, drawn again for each snapshot."""

    def __init__(self, live: Live, title: str) -> None:
        self._live = live
        self._title = title

    def show(self, snapshot: Snapshot) -> None:
        """Draw a snapshot."""
        ascii_only = self._live.console.options.ascii_only
        self._live.update(_panel(snapshot, self._title, ascii_only=ascii_only), refresh=True)


def _panel(snapshot: Snapshot, title: str, *, ascii_only: bool) -> RenderableType:
    return Panel(
        Group(
            _flow(snapshot),
            Text(),
            _bars(snapshot, ascii_only=ascii_only),
            Text(),
            _latest(snapshot),
            Text(),
            Text("Ctrl-C ends it", style="dim"),
        ),
        title=title,
        expand=False,
    )


def _flow(snapshot: Snapshot) -> RenderableType:
    table = Table.grid(padding=(0, 3))
    figures = {
        "ratings": f"{snapshot.ratings:,}",
        "shadows": f"{snapshot.shadows:,}",
        "rows": f"{snapshot.rows:,}",
        "dead letters": f"{snapshot.dead_letters:,}",
        "rows/s": f"{snapshot.rate:,.0f}",
    }
    for _ in figures:
        table.add_column(justify="right", min_width=9)
    table.add_row(*figures, style="dim")
    table.add_row(*figures.values(), style="bold")
    return table


def _bars(snapshot: Snapshot, *, ascii_only: bool) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    total = max(sum(snapshot.counts.values()), 1)
    longest = max([*snapshot.counts.values(), 1])
    for name, count in snapshot.counts.items():
        bar = _bar(count / longest, _COLOURS[name], ascii_only=ascii_only)
        table.add_row(name, bar, f"{count:,}", f"{count / total:.1%}")
    return table


def _bar(share: float, colour: str, *, ascii_only: bool) -> RenderableType:
    if ascii_only:
        return Text(("#" * round(share * _BAR)).ljust(_BAR), style=colour)
    return Bar(1, 0, share, width=_BAR, color=colour)


def _latest(snapshot: Snapshot) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    for human in snapshot.latest:
        table.add_row(
            Text(printable(human.unique_id), style="dim"),
            Text(human.type, style=_COLOURS[human.type]),
            human.time_of_day,
        )
    return table
