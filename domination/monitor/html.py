"""The cards of the page: the readings as HTML. Pure.

It escapes whatever comes from Kafka or ClickHouse: other people choose ids and reasons.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from domination.monitor import charts
from domination.monitor.rate import CHART_MINUTES
from domination.monitor.text import as_of, counted_at
from domination.text import printable, shortened

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from domination.monitor.probe import Reading, Readings

_LONGEST: Final = 64
_SPAN: Final = f"the last {CHART_MINUTES} minutes"


class Card(NamedTuple):
    """A part of the page: its name, whose it is, and how it is drawn."""

    name: str
    title: str
    source: Literal["kafka", "clickhouse", "both"]
    html: Callable[[Readings], str] = lambda _: ""
    chart: Callable[[Readings], charts.Options] | None = None
    says: str = ""
    """What a chart shows, for those who hear the page."""
    counted: bool = False
    """Whether ClickHouse has to count what it shows, which may take a while."""


def types(readings: Readings) -> str:
    """Count the humans of each type, with its share."""
    if readings.clickhouse.data is None:
        return _unknown()
    counts = readings.clickhouse.data.totals.counts
    whole = sum(counts.values()) or 1
    rows = [
        (
            _type(name),
            f'<span data-count="{name}">{count:,}</span>',
            f'<span data-share="{name}">{100 * count / whole:.1f} %</span>',
        )
        for name, count in counts.items()
    ]
    return _table(("Type", "Humans", "Share"), rows)


def lag(readings: Readings) -> str:
    """Show how far each group is behind in each partition, with a bar."""
    topics = readings.kafka.data
    if topics is None:
        return _unknown()
    if topics.lags is None:
        return _none("Unknown: this broker does not keep what groups have committed")
    return (
        f"<h3>Workers, of ratings</h3>{_bars('worker', topics.lags['worker'])}"
        f"<h3>ClickHouse, of shadows</h3>{_bars('clickhouse', topics.lags['clickhouse'])}"
    )


def _bars(group: str, lags: Mapping[int, int]) -> str:
    longest = max([*lags.values(), 1])
    bars = "".join(
        f'<li><span class="name">{partition}</span>'
        f'<span class="bar" aria-hidden="true"><i style="width:{100 * count / longest:.1f}%"></i>'
        f'</span><span class="number" data-lag="{group}-{partition}">{count:,}</span></li>'
        for partition, count in sorted(lags.items())
    )
    return f'<ol class="bars" aria-label="Offsets behind, by partition">{bars}</ol>'


def dead_letters(readings: Readings) -> str:
    """Count the dead letters by reason, those of rare reasons together."""
    if readings.kafka.data is None:
        return _unknown()
    reasons, more, exact, letters = readings.kafka.data.dead_letters.by_reason
    rows = [
        (f"<code>{reason}</code>", f'<span data-reason="{reason}">{count:,}</span>')
        for reason, count in zip(map(_theirs, reasons), reasons.values(), strict=True)
    ]
    if letters:
        rows.append((f"{'' if exact else 'over '}{more:,} more", f"{letters:,}"))
    return _table(("Reason", "Records"), rows) if rows else _none("None")


def humans(readings: Readings) -> str:
    """Show the latest humans."""
    if readings.clickhouse.data is None:
        return _unknown()
    rows = [
        (_type(each.type), f"<code>{_theirs(each.unique_id)}</code>", escape(each.time_of_day))
        for each in readings.clickhouse.data.latest
    ]
    return _table(("Type", "Human", "Emitted, UTC"), rows) if rows else _none("None yet")


CARDS: Final = (
    Card(
        "throughput",
        "Ratings and shadows per second",
        "both",
        chart=charts.throughput,
        says=f"Ratings sent and shadows stored per second, {_SPAN}",
    ),
    Card(
        "over-time",
        "Shadows per second, by type",
        "clickhouse",
        chart=charts.over_time,
        says=f"Shadows per second by type, {_SPAN}",
        counted=True,
    ),
    Card(
        "shares",
        "Shares, by type",
        "clickhouse",
        chart=charts.shares,
        says=f"The share of each type, {_SPAN}",
        counted=True,
    ),
    Card("types", "Humans by type", "clickhouse", types, counted=True),
    Card("lag", "Lag by partition", "kafka", lag),
    Card("letters", "Dead letters by reason", "kafka", dead_letters),
    Card("humans", "Latest humans", "clickhouse", humans),
)


def head(card: Card, readings: Readings) -> str:
    """Give a card's heading, and the age of what it shows where that is not fresh."""
    sources = _sources(card, readings)
    old = "; ".join(
        f"{each.name} {as_of(each)}" if len(sources) > 1 else as_of(each)
        for each in sources
        if not each.up
    )
    if old:
        return f'<h2>{card.title}</h2><p class="as-of">{old}</p>'
    when = counted_at(readings) if card.counted else ""
    return f'<h2>{card.title}</h2><p class="what">{when}</p>'


def stale(card: Card, readings: Readings) -> bool:
    """Tell whether a source of a card is down."""
    return any(not each.up for each in _sources(card, readings))


def _sources(card: Card, readings: Readings) -> Sequence[Reading[Any]]:
    return readings if card.source == "both" else [getattr(readings, card.source)]


def _type(name: str) -> str:
    return f'<span class="type {name.lower()}">{name}</span>'


def _table(names: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col">{name}</th>' for name in names)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _theirs(text: str) -> str:
    """Write what others have chosen, so much of it."""
    return escape(shortened(printable(text), _LONGEST))


def _unknown() -> str:
    return _none("Nothing known yet")


def _none(text: str) -> str:
    return f'<p class="none">{text}</p>'
