"""The monitor's charts, as options of ECharts. Pure.

Each colour is a variable of page.css, so that the charts follow the light and the dark, and each
size a multiple of the page's text, so that they follow the screen.
"""

from __future__ import annotations

from itertools import dropwhile
from typing import TYPE_CHECKING, Any, Final

from domination.monitor.rows import BUCKET_SECONDS
from domination.shadow import LABELS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from domination.monitor.reading import Readings

_GAP_SECONDS: Final = 5.0

Options = dict[str, Any]


def throughput(readings: Readings) -> Options | None:
    """Draw ratings and shadows a second; nothing where neither is known."""
    topics, rows = readings.kafka.data, readings.clickhouse.data
    lines = {
        "ratings": topics.rates if topics else (),
        "shadows": rows.rates if rows else (),
    }
    if not any(lines.values()):
        return None
    return _chart(
        _line(name, [[at * 1000, value] for at, value in _with_gaps(points)])
        for name, points in lines.items()
    )


def over_time(readings: Readings) -> Options | None:
    """Draw shadows a second by type, stacked, by the time they were emitted."""
    return _areas(readings, lambda count, _: count / BUCKET_SECONDS)


def shares(readings: Readings) -> Options | None:
    """Draw the share of each type, in percent."""
    options = _areas(readings, lambda count, total: 100 * count / total if total else None)
    if options:
        percent = {**_LABEL, "formatter": "{value} %"}
        options["yAxis"] |= {"max": 100, "interval": 25, "axisLabel": percent}
    return options


def _areas(readings: Readings, value: Callable[[int, int], float | None]) -> Options | None:
    spans = list(_begun(readings))
    if not spans:
        return None
    return _chart(
        _line(
            name.lower(),
            [[at * 1000, value(found[name], sum(found.values()))] for at, found in spans],
            stack="all",
            areaStyle={"opacity": 0.85, "color": f"var(--{name.lower()})"},
        )
        for name in LABELS
    )


def _begun(readings: Readings) -> Iterable[tuple[int, Mapping[str, int]]]:
    """Give the spans from the first on that has rows."""
    spans = readings.clickhouse.data.totals.over_time if readings.clickhouse.data else ()
    return dropwhile(lambda span: not any(span[1].values()), spans)


def _rem(size: float) -> str:
    """Write a size in JavaScript, which the browser works out: a multiple of the page's text."""
    return f"parseFloat(getComputedStyle(document.documentElement).fontSize) * {size}"


_LABEL: Final = {
    "color": "var(--dim)",
    ":fontSize": _rem(0.8),
    ":margin": _rem(0.7),
    "fontFamily": "Roboto, sans-serif",
}


def _chart(series: Iterable[Options]) -> Options:
    line = {"lineStyle": {"color": "var(--line)"}}
    return {
        "animation": False,
        "useUTC": True,
        "grid": {
            "left": 0,
            ":right": _rem(1.5),
            ":top": _rem(0.8),
            ":bottom": _rem(0.4),
            "containLabel": True,
        },
        "xAxis": {
            "type": "time",
            "min": "dataMin",
            "max": "dataMax",
            "splitNumber": 3,
            "axisLabel": {
                **_LABEL,
                ":margin": _rem(0.9),
                "hideOverlap": True,
                "formatter": "{HH}:{mm}:{ss}",
            },
            "axisLine": line,
            "axisTick": line,
            "splitLine": {"show": False},
        },
        "yAxis": {
            "type": "value",
            "min": 0,
            "minInterval": 1,
            "splitNumber": 3,
            "axisLabel": _LABEL,
            "splitLine": line,
        },
        "series": list(series),
    }


def _line(name: str, data: list[list[float | None]], **more: Any) -> Options:
    colour = {"color": f"var(--{name})"}
    return {
        "type": "line",
        "name": name,
        "data": data,
        "showSymbol": False,
        "silent": True,
        "itemStyle": colour,
        "lineStyle": {**colour, ":width": _rem(0 if more else 0.15)},
        **more,
    }


def _with_gaps(points: Iterable[tuple[float, float]]) -> Iterable[tuple[float, float | None]]:
    """Break a line where no rate is known for a while."""
    before: float | None = None
    for at, value in points:
        if before is not None and at - before > _GAP_SECONDS:
            yield before + 1, None
        yield at, value
        before = at
