"""The parts of the page as HTML: `page.html`, filled with the readings. Pure.

Jinja escapes each value: other people choose ids, reasons and errors.
"""

from __future__ import annotations

from math import log10
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from domination.monitor import charts
from domination.monitor.health import health, most, most_in_one
from domination.monitor.rate import CHART_MINUTES
from domination.monitor.text import age, counted_at, moment, number
from domination.text import printable, shortened

if TYPE_CHECKING:
    from collections.abc import Callable

    from domination.monitor.charts import Options
    from domination.monitor.reading import Readings

_LONGEST: Final = 64
_LARGEST: Final = 6
"""The power of ten that a lag has whose bar is full."""


class Card(NamedTuple):
    """A part of the page: the macro that draws it, and its chart."""

    name: str
    chart: Callable[[Readings], Options | None] | None = None
    says: str = ""
    """What the chart shows, for those who hear the page."""


_SPAN: Final = f"the last {CHART_MINUTES} minutes at most"

CARDS: Final = (
    Card("throughput", charts.throughput, f"Ratings sent and shadows stored per second, {_SPAN}"),
    Card("lag"),
    Card("letters"),
    Card("humans"),
    Card("over_time", charts.over_time, f"Shadows per second by type, {_SPAN}"),
    Card("shares", charts.shares, f"The share of each type, {_SPAN}"),
    Card("latest"),
)


def draw(part: str, readings: Readings) -> str:
    """Draw the status or a card; empty where nothing is known that it could show."""
    return str(getattr(_TEMPLATE, part)(readings)).strip()


def _theirs(text: str) -> str:
    """Write what others have chosen, so much of it."""
    return shortened(printable(text), _LONGEST)


def _width(lag: int) -> str:
    """Give the width of a bar in percent: each ten times as much adds the same to it."""
    # A log that was cut back ends before what was committed.
    return f"{min(100, 100 * log10(1 + max(0, lag)) / _LARGEST):.1f}"


def _template() -> object:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters = {"age": age, "moment": moment, "number": number, "theirs": _theirs, "width": _width}
    environment.filters |= filters
    known = (counted_at, health, most, most_in_one)
    environment.globals |= {each.__name__: each for each in known}
    return environment.get_template("page.html").module


_TEMPLATE: Final = _template()
