"""How the monitor looks: what is readings, as HTML. Pure.

Whatever comes from Kafka or ClickHouse is escaped here: ids and reasons are other people's.
"""

from __future__ import annotations

from datetime import datetime, timezone
from html import escape
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from domination.monitor import charts
from domination.shadow import LABELS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from domination.monitor.probe import Reading, Readings
    from domination.monitor.rows import Totals
    from domination.monitor.topics import Topics

_OLD_SECONDS: Final = 2.0

_UNKNOWN: Final = "unknown"
_NOTHING: Final = "-"


class Card(NamedTuple):
    """A part of the page: what it is called, whose it is, and how it is drawn."""

    name: str
    title: str
    source: str
    html: Callable[[Readings], str] = lambda _: ""
    chart: Callable[[Readings], charts.Options] | None = None
    says: str = ""
    """What a chart shows, for those who hear the page."""
    counted: bool = False
    """Whether it is of what ClickHouse has to count, which may take a while."""


# Status and figures.


def status(readings: Readings) -> str:
    """Say of each source whether it is up, else since when not and why."""
    return _status(readings.kafka) + _status(readings.clickhouse)


def _status(source: Reading[Any]) -> str:
    if source.down_since is not None:
        told = f"down since {moment(source.down_since)}: {source.why}"
        state = "down"
    else:
        state = told = "up" if source.up else "being asked"
    return (
        f'<p class="source" data-source="{source.name}" data-state="{escape(state)}">'
        f"<strong>{source.name}</strong> {escape(told)}</p>"
    )


def figures(readings: Readings) -> str:
    """Give the large figures, each with its name and what it means."""
    kafka, clickhouse = readings
    topics, rows = kafka.data, clickhouse.data
    totals = rows.totals if rows else None
    letters = topics.letters if topics else None
    told = [
        _figure(kafka, "ratings", "Ratings / s", _rate(topics and topics.rate), "sent"),
        _figure(clickhouse, "shadows", "Shadows / s", _rate(rows and rows.rate), "stored"),
        _figure(clickhouse, "age", "Freshness", _age(rows and rows.age), "since the newest shadow"),
        _figure(kafka, "lag", "Lag", _lag(topics, "worker"), "ratings not judged"),
        _figure(
            kafka, "clickhouse-lag", "ClickHouse lag", _lag(topics, "clickhouse"), "not stored"
        ),
        _figure(clickhouse, "humans", "Humans", _total(totals), _counted(readings)),
        _figure(
            kafka, "letters", "Dead letters", _sum(letters and letters.reasons), _letters(readings)
        ),
        _figure(
            clickhouse,
            "broken",
            "Broken rows",
            _count(totals and totals.broken),
            _when(readings) or "no shadows",
        ),
    ]
    return "".join(told)


def _figure(source: Reading[Any], name: str, title: str, value: str, what: str) -> str:
    return (
        f'<div class="figure{_stale(source)}"><dt>{title}</dt>'
        f'<dd class="value" data-figure="{name}">{value}</dd>'
        f'<dd class="what">{_as_of(source) or what}</dd></div>'
    )


def _counted(readings: Readings) -> str:
    """Say how exact the count of humans is, and of when where that is a while ago."""
    exact = readings.clickhouse.data is None or readings.clickhouse.data.totals.exact
    said = ["" if exact else "about", _when(readings)]
    return ", ".join(filter(None, said)) or "judged, each once"


def _when(readings: Readings) -> str:
    """Say of when is what ClickHouse has counted, where that is a while ago."""
    rows, at = readings.clickhouse.data, readings.clickhouse.at
    if rows is None or at is None or at - rows.totals.at < _OLD_SECONDS:
        return ""
    return f"as of {moment(rows.totals.at)}"


def _letters(readings: Readings) -> str:
    letters = readings.kafka.data and readings.kafka.data.letters
    if letters and not letters.whole:
        return "still being read"
    return f"{letters.sent_back:,} of them sent back" if letters and letters.sent_back else "in all"


# Tables.


def types(readings: Readings) -> str:
    """Count the humans of each type, with its share."""
    totals = readings.clickhouse.data.totals if readings.clickhouse.data else None
    counts = totals.counts if totals else dict.fromkeys(LABELS, 0)
    whole = sum(counts.values())
    rows = [
        (
            _type(name),
            f'<span data-count="{name}">{count:,}</span>',
            f'<span data-share="{name}">{100 * count / whole if whole else 0:.1f} %</span>',
        )
        for name, count in counts.items()
    ]
    return _table(("Type", "Humans", "Share"), rows) if totals else _none("Nothing known yet")


def lag(readings: Readings) -> str:
    """Say how far each group is behind in each partition, with a bar."""
    topics = readings.kafka.data
    if topics is None:
        return _none("Nothing known yet")
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


def letters(readings: Readings) -> str:
    """Count the dead letters by reason."""
    found = readings.kafka.data.letters if readings.kafka.data else None
    if found is None:
        return _none("Nothing known yet")
    rows = [
        (f"<code>{escape(reason)}</code>", f'<span data-reason="{escape(reason)}">{count:,}</span>')
        for reason, count in found.reasons.items()
    ]
    return _table(("Reason", "Records"), rows) if rows else _none("None")


def humans(readings: Readings) -> str:
    """Show the latest humans."""
    rows = readings.clickhouse.data
    if rows is None:
        return _none("Nothing known yet")
    return (
        _table(
            ("Type", "Human", "Emitted, UTC"),
            [
                (
                    _type(each.type),
                    f"<code>{escape(each.unique_id)}</code>",
                    escape(each.time[11:23]),
                )
                for each in rows.latest
            ],
        )
        if rows.latest
        else _none("None yet")
    )


CARDS: Final = (
    Card(
        "throughput",
        "Ratings and shadows per second",
        "both",
        chart=charts.throughput,
        says="Ratings sent and shadows stored per second, the last five minutes",
    ),
    Card(
        "over-time",
        "Shadows per second, by type",
        "clickhouse",
        chart=charts.over_time,
        says="Shadows per second by type, the last five minutes",
        counted=True,
    ),
    Card(
        "shares",
        "Shares, by type",
        "clickhouse",
        chart=charts.shares,
        says="The share of each type, the last five minutes",
        counted=True,
    ),
    Card("types", "Humans by type", "clickhouse", types, counted=True),
    Card("lag", "Lag by partition", "kafka", lag),
    Card("letters", "Dead letters by reason", "kafka", letters),
    Card("humans", "Latest humans", "clickhouse", humans),
)


def head(card: Card, readings: Readings) -> str:
    """Give a card's heading, and of when it is where that is not now."""
    sources = _sources(card, readings)
    stale = "; ".join(
        (f"{each.name} " if len(sources) > 1 else "") + _as_of(each)
        for each in sources
        if _as_of(each)
    )
    if stale:
        return f'<h2>{card.title}</h2><p class="as-of">{stale}</p>'
    when = _when(readings) if card.counted else ""
    return f'<h2>{card.title}</h2><p class="what">{when}</p>'


def stale(card: Card, readings: Readings) -> bool:
    """Tell whether a card shows what is no longer known to be so."""
    return any(not each.up for each in _sources(card, readings))


def _sources(card: Card, readings: Readings) -> Sequence[Reading[Any]]:
    return readings if card.source == "both" else [getattr(readings, card.source)]


def moment(seconds: float) -> str:
    """Write a moment of the clock, to the second."""
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%H:%M:%S UTC")


def _as_of(source: Reading[Any]) -> str:
    if source.up:
        return ""
    return f"as of {moment(source.at)}" if source.at else "not known yet"


def _stale(source: Reading[Any]) -> str:
    return "" if source.up else " stale"


def _type(name: str) -> str:
    return f'<span class="type {name.lower()}">{name}</span>'


def _table(names: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col">{name}</th>' for name in names)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _none(text: str) -> str:
    return f'<p class="none">{text}</p>'


def _rate(value: float | None) -> str:
    return _NOTHING if value is None else f"{value:,.0f}"


def _count(value: int | None) -> str:
    return _NOTHING if value is None else f"{value:,}"


def _age(value: float | None) -> str:
    return _NOTHING if value is None else f"{value:,.1f} s"


def _lag(topics: Topics | None, group: str) -> str:
    if topics is None:
        return _NOTHING
    return _UNKNOWN if topics.lags is None else _sum(topics.lags[group])


def _sum(values: Mapping[Any, int] | None) -> str:
    return _NOTHING if values is None else f"{sum(values.values()):,}"


def _total(totals: Totals | None) -> str:
    return _sum(totals and totals.counts)
