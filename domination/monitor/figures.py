"""The head of the page: whether the sources are up, and the large figures, as HTML. Pure."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from domination.monitor.text import UNKNOWN, age, as_of, counted_at, moment, number, total

if TYPE_CHECKING:
    from collections.abc import Callable

    from domination.monitor.probe import Reading, Readings


class Figure(NamedTuple):
    """A large figure: its name, whose it is, its value, and what it means."""

    name: str
    title: str
    source: Literal["kafka", "clickhouse"]
    value: Callable[[Readings], str]
    what: Callable[[Readings], str]


def status(readings: Readings) -> str:
    """Say of each source whether it is up, otherwise since when it is not, and why."""
    return _status(readings.kafka) + _status(readings.clickhouse)


def _status(reading: Reading[Any]) -> str:
    if reading.down_since is not None:
        state = reading.trouble
        told = f"{state} since {moment(reading.down_since)}: {reading.why}"
    else:
        state = told = "up" if reading.up else "being asked"
    return (
        f'<p class="source" data-source="{reading.name}" data-state="{state}">'
        f"<strong>{reading.name}</strong> {escape(told)}</p>"
    )


def figures(readings: Readings) -> str:
    """Give the large figures, each with its name and what it means."""
    return "".join(_figure(figure, readings) for figure in FIGURES)


def _figure(figure: Figure, readings: Readings) -> str:
    reading: Reading[Any] = getattr(readings, figure.source)
    return (
        f'<div class="figure{"" if reading.up else " stale"}"><dt>{figure.title}</dt>'
        f'<dd class="value" data-figure="{figure.name}">{figure.value(readings)}</dd>'
        f'<dd class="what">{as_of(reading) or figure.what(readings)}</dd></div>'
    )


def _says(text: str) -> Callable[[Readings], str]:
    return lambda _: text


def _ratings(readings: Readings) -> str:
    topics = readings.kafka.data
    return number(topics and topics.rate)


def _shadows(readings: Readings) -> str:
    rows = readings.clickhouse.data
    return number(rows and rows.rate)


def _age(readings: Readings) -> str:
    rows = readings.clickhouse.data
    return age(rows and rows.age)


def _since_the_newest(readings: Readings) -> str:
    """Say whether there are rows that a wrong clock has dated."""
    rows = readings.clickhouse.data
    ahead = rows.totals.ahead if rows else 0
    return f"{ahead:,} rows are from the future" if ahead else "since the newest shadow"


def _lag(group: str) -> Callable[[Readings], str]:
    def value(readings: Readings) -> str:
        topics = readings.kafka.data
        if topics is None:
            return total(None)
        return UNKNOWN if topics.lags is None else total(topics.lags[group])

    return value


def _humans(readings: Readings) -> str:
    rows = readings.clickhouse.data
    return total(rows and rows.totals.counts)


def _how_exact(readings: Readings) -> str:
    """Say whether the count of humans is exact, and when ClickHouse counted them."""
    rows = readings.clickhouse.data
    about = "about" if rows and not rows.totals.exact else ""
    return ", ".join(filter(None, [about, counted_at(readings)])) or "judged, each once"


def _dead_letters(readings: Readings) -> str:
    topics = readings.kafka.data
    found = topics and topics.dead_letters.by_reason
    return number(found and sum(found.reasons.values()) + found.letters)


def _sent_back(readings: Readings) -> str:
    found = readings.kafka.data and readings.kafka.data.dead_letters
    if found and not found.whole:
        return "still being read"
    return f"{found.sent_back:,} of them sent back" if found and found.sent_back else "in all"


def _broken(readings: Readings) -> str:
    rows = readings.clickhouse.data
    return number(rows and rows.totals.broken)


def _no_shadows(readings: Readings) -> str:
    return counted_at(readings) or "no shadows"


FIGURES: Final = (
    Figure("ratings", "Ratings / s", "kafka", _ratings, _says("sent")),
    Figure("shadows", "Shadows / s", "clickhouse", _shadows, _says("stored")),
    Figure("age", "Freshness", "clickhouse", _age, _since_the_newest),
    Figure("lag", "Lag", "kafka", _lag("worker"), _says("ratings not judged")),
    Figure("clickhouse-lag", "ClickHouse lag", "kafka", _lag("clickhouse"), _says("not stored")),
    Figure("humans", "Humans", "clickhouse", _humans, _how_exact),
    Figure("letters", "Dead letters", "kafka", _dead_letters, _sent_back),
    Figure("broken", "Broken rows", "clickhouse", _broken, _no_shadows),
)
