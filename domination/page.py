"""How the monitor looks: what is seen as HTML, and as the options of its charts. Pure."""

from __future__ import annotations

from datetime import datetime, timezone
from html import escape
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from domination.rows import BUCKET_SECONDS
from domination.shadow import LABELS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from domination.rows import Totals
    from domination.sources import Seen, Source

UNKNOWN: Final = "unknown"
_NOTHING: Final = "–"
_GAP_SECONDS: Final = 5.0

Options = dict[str, Any]


class Card(NamedTuple):
    """A part of the page: what it is called, whose it is, and how it is drawn."""

    name: str
    title: str
    source: str
    html: Callable[[Seen], str] = lambda _: ""
    chart: Callable[[Seen], Options] | None = None
    says: str = ""
    """What a chart shows, for those who hear the page."""


# Status and figures.


def status(seen: Seen) -> str:
    """Say of each source whether it is up, else since when not and why."""
    return _status(seen.kafka) + _status(seen.clickhouse)


def _status(source: Source[Any]) -> str:
    if source.down_since is not None:
        told = f"down since {moment(source.down_since)}: {source.why}"
        state = "down"
    else:
        state = told = "up" if source.up else "being asked"
    return (
        f'<p class="source" data-source="{source.name}" data-state="{escape(state)}">'
        f"<strong>{source.name}</strong> {escape(told)}</p>"
    )


def figures(seen: Seen) -> str:
    """Give the large figures, each with its name and what it means."""
    kafka, clickhouse = seen
    topics, rows = kafka.data, clickhouse.data
    totals = rows.totals if rows else None
    about = "" if totals is None or totals.exact else "about, until merged"
    letters = topics.letters if topics else None
    told: list[tuple[Source[Any], str, str, str, str]] = [
        (kafka, "ratings", "Ratings / s", _rate(topics and topics.rate), "sent"),
        (clickhouse, "shadows", "Shadows / s", _rate(rows and rows.rate), "stored"),
        (clickhouse, "age", "Freshness", _age(rows and rows.age), "age of the newest shadow"),
        (
            kafka,
            "lag",
            "Lag",
            _lag(topics.worker_lag) if topics else _NOTHING,
            "ratings not judged",
        ),
        (clickhouse, "humans", "Humans", _total(totals), about or "judged, each once"),
        (kafka, "letters", "Dead letters", _sum(letters and letters.reasons), _letters(seen)),
        (clickhouse, "broken", "Broken rows", _count(rows and rows.broken), "no shadows"),
    ]
    return "".join(_figure(*each) for each in told)


def _figure(source: Source[Any], name: str, title: str, value: str, what: str) -> str:
    return (
        f'<div class="figure{_stale(source)}"><dt>{title}</dt>'
        f'<dd class="value" data-figure="{name}">{value}</dd>'
        f'<dd class="what">{_as_of(source) or what}</dd></div>'
    )


def _letters(seen: Seen) -> str:
    letters = seen.kafka.data and seen.kafka.data.letters
    if letters and not letters.whole:
        return "still being read"
    return f"{letters.sent_back:,} of them sent back" if letters and letters.sent_back else "in all"


# Charts.


def throughput(seen: Seen) -> Options:
    """Draw ratings and shadows a second."""
    topics, rows = seen.kafka.data, seen.clickhouse.data
    lines = {
        "Ratings": ("--ratings", topics.rates if topics else ()),
        "Shadows": ("--shadows", rows.rates if rows else ()),
    }
    return _chart(
        [
            _line(name, colour, [[at * 1000, value] for at, value in _with_gaps(points)])
            for name, (colour, points) in lines.items()
        ]
    )


def over_time(seen: Seen) -> Options:
    """Draw shadows a second by type, one upon the other, by when they were emitted."""
    return _areas(seen, lambda count, _: count / BUCKET_SECONDS)


def shares(seen: Seen) -> Options:
    """Draw the share of each type, in percent."""
    options = _areas(seen, lambda count, total: 100 * count / total if total else None)
    options["yAxis"] |= {"max": 100, "axisLabel": {**_LABEL, "formatter": "{value} %"}}
    return options


def _areas(seen: Seen, value: Callable[[int, int], float | None]) -> Options:
    spans = seen.clickhouse.data.totals.over_time if seen.clickhouse.data else ()
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


_LABEL: Final = {"color": "var(--dim)", "fontSize": 13, "fontFamily": "inherit"}


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
    """Break a line where nothing was known for a while, instead of drawing across."""
    before: float | None = None
    for at, value in points:
        if before is not None and at - before > _GAP_SECONDS:
            yield before + 1, None
        yield at, value
        before = at


# Tables.


def types(seen: Seen) -> str:
    """Count the humans of each type, with its share."""
    totals = seen.clickhouse.data.totals if seen.clickhouse.data else None
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


def lag(seen: Seen) -> str:
    """Say how far each group is behind in each partition, with a bar."""
    topics = seen.kafka.data
    if topics is None:
        return _none("Nothing known yet")
    worker = (
        _bars("worker", topics.worker_lag)
        if topics.worker_lag is not None
        else _none("Unknown: this broker keeps no offsets of transactions")
    )
    return (
        f"<h3>Workers, of ratings</h3>{worker}"
        f"<h3>ClickHouse, of shadows</h3>{_bars('clickhouse', topics.clickhouse_lag)}"
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


def letters(seen: Seen) -> str:
    """Count the dead letters by reason."""
    found = seen.kafka.data.letters if seen.kafka.data else None
    if found is None:
        return _none("Nothing known yet")
    rows = [
        (f"<code>{escape(reason)}</code>", f'<span data-reason="{escape(reason)}">{count:,}</span>')
        for reason, count in found.reasons.items()
    ]
    return _table(("Reason", "Records"), rows) if rows else _none("None")


def humans(seen: Seen) -> str:
    """Show the latest humans."""
    rows = seen.clickhouse.data
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
        chart=throughput,
        says="Ratings sent and shadows stored per second, the last five minutes",
    ),
    Card(
        "over-time",
        "Shadows per second, by type",
        "clickhouse",
        chart=over_time,
        says="Shadows per second by type, the last five minutes",
    ),
    Card(
        "shares",
        "Shares, by type",
        "clickhouse",
        chart=shares,
        says="The share of each type, the last five minutes",
    ),
    Card("types", "Humans by type", "clickhouse", types),
    Card("lag", "Lag by partition", "kafka", lag),
    Card("letters", "Dead letters by reason", "kafka", letters),
    Card("humans", "Latest humans", "clickhouse", humans),
)


def head(card: Card, seen: Seen) -> str:
    """Give a card's heading, and of when it is where that is not now."""
    sources = seen if card.source == "both" else [getattr(seen, card.source)]
    stale = "; ".join(
        (f"{each.name} " if card.source == "both" else "") + _as_of(each)
        for each in sources
        if _as_of(each)
    )
    return f"<h2>{card.title}</h2>" + (f'<p class="as-of">{stale}</p>' if stale else "")


def stale(card: Card, seen: Seen) -> bool:
    """Tell whether a card shows what is no longer known to be so."""
    sources = seen if card.source == "both" else [getattr(seen, card.source)]
    return any(not each.up for each in sources)


def moment(seconds: float) -> str:
    """Write a moment of the clock, to the second."""
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%H:%M:%S UTC")


def _as_of(source: Source[Any]) -> str:
    if source.up:
        return ""
    return f"as of {moment(source.at)}" if source.at else "not known yet"


def _stale(source: Source[Any]) -> str:
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


def _lag(values: Mapping[int, int] | None) -> str:
    return UNKNOWN if values is None else f"{sum(values.values()):,}"


def _sum(values: Mapping[str, int] | None) -> str:
    return _NOTHING if values is None else f"{sum(values.values()):,}"


def _total(totals: Totals | None) -> str:
    return _sum(totals and totals.counts)
