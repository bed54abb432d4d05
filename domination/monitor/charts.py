"""The monitor's charts, as options of ECharts. Pure.

Each colour is a variable of page.css, so that the charts follow the light and the dark.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from domination.monitor.rate import CHART_MINUTES
from domination.monitor.rows import BUCKET_SECONDS
from domination.shadow import LABELS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from domination.monitor.probe import Readings

_GAP_SECONDS: Final = 5.0

Options = dict[str, Any]


def throughput(readings: Readings) -> Options:
    """Draw ratings and shadows a second."""
    topics, rows = readings.kafka.data, readings.clickhouse.data
    lines = {
        "Ratings": ("--ratings", topics.rates if topics else ()),
        "Shadows": ("--shadows", rows.rates if rows else ()),
    }
    options = _chart(
        [
            _line(name, colour, [[at * 1000, value] for at, value in _with_gaps(points)])
            for name, (colour, points) in lines.items()
        ]
    )
    if now := max((points[-1][0] for _, points in lines.values() if points), default=None):
        options["xAxis"] |= {"min": (now - CHART_MINUTES * 60) * 1000, "max": now * 1000}
    return options


def over_time(readings: Readings) -> Options:
    """Draw shadows a second by type, stacked, by the time they were emitted."""
    return _areas(readings, lambda count, _: count / BUCKET_SECONDS)


def shares(readings: Readings) -> Options:
    """Draw the share of each type, in percent."""
    options = _areas(readings, lambda count, total: 100 * count / total if total else None)
    percent = {**_LABEL, "formatter": "{value} %"}
    options["yAxis"] |= {"max": 100, "interval": 25, "axisLabel": percent}
    return options


def _areas(readings: Readings, value: Callable[[int, int], float | None]) -> Options:
    spans = readings.clickhouse.data.totals.over_time if readings.clickhouse.data else ()
    return _chart(
        [
            _line(
                name,
                f"--{name.lower()}",
                [[at * 1000, value(found[name], sum(found.values()))] for at, found in spans],
                stack="all",
                areaStyle={"opacity": 0.85, "color": f"var(--{name.lower()})"},
            )
            for name in LABELS
        ]
    )


_LABEL: Final = {"color": "var(--dim)", "fontSize": 13, "fontFamily": "Roboto, sans-serif"}


def _chart(series: list[Options]) -> Options:
    line = {"lineStyle": {"color": "var(--line)"}}
    return {
        "animation": False,
        "useUTC": True,
        "grid": {"left": 8, "right": 20, "top": 40, "bottom": 4, "containLabel": True},
        "legend": {
            "left": 0,
            "top": 0,
            "selectedMode": False,
            "itemGap": 18,
            "itemWidth": 14,
            "itemHeight": 10,
            "icon": "roundRect",
            "textStyle": _LABEL | {"color": "var(--ink)"},
        },
        "xAxis": {
            "type": "time",
            "axisLabel": _LABEL | {"hideOverlap": True, "formatter": "{HH}:{mm}"},
            "minInterval": 60_000,
            "axisLine": line,
            "axisTick": line,
            "splitLine": {"show": False},
        },
        "yAxis": {
            "type": "value",
            "min": 0,
            "splitNumber": 3,
            "axisLabel": _LABEL,
            "splitLine": line,
        },
        "series": series,
    }


def _line(name: str, colour: str, data: list[list[float | None]], **more: Any) -> Options:
    return {
        "type": "line",
        "name": name,
        "data": data,
        "showSymbol": False,
        "silent": True,
        "itemStyle": {"color": f"var({colour})"},
        "lineStyle": {"color": f"var({colour})", "width": 0 if more else 2.5},
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
