"""Readings of a monitor that are made up: each state of the system by its name."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Final

from domination.clickhouse.queries import Human, no_counts
from domination.monitor.reading import DOWN, UNREADABLE, Reading, Readings
from domination.monitor.rows import BUCKET_SECONDS, Rows, Totals
from domination.monitor.topics import DeadLetterCounts, Lag, Lags, Topics
from domination.reasons import ByReason

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SCRIPT: Final = '<img src="//192.0.2.1/x" onerror="console.error(1)">'
PARTITIONS: Final = 12
LARGE: Final = 17_000
"""The lag of each fourth partition where the workers are behind; the others have 5."""

_PER_SECOND: Final = {"Incompatible": 420, "Sha": 212, "Dow": 110, "ShaDow": 53}
_RATE: Final = float(sum(_PER_SECOND.values()))
_CHARTED_SECONDS: Final = 240


def lag(*by_partition: int) -> Lag:
    """Make a lag of these partitions."""
    return Lag(sum(by_partition), dict(enumerate(by_partition)))


def topics(now: float, worker: Lag, clickhouse: Lag, reasons: Mapping[str, int]) -> Topics:
    """Make a state of the topics."""
    letters = DeadLetterCounts(ByReason(reasons, 0, exact=True, letters=0), 0, whole=True)
    return Topics(_RATE, rates(now, _RATE), Lags(worker, clickhouse), letters)


def rates(now: float, rate: float) -> tuple[tuple[float, float], ...]:
    """Make the rates of the last minutes, the same all the time."""
    return tuple((now - ago, rate) for ago in range(_CHARTED_SECONDS, -1, -1))


def rows(now: float, *ids: str, broken: int = 0) -> Rows:
    """Make a state of the tables whose latest humans have these ids."""
    moment = datetime.fromtimestamp(now, timezone.utc).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    counts = {name: count * 871 for name, count in _PER_SECOND.items()}
    latest = tuple(Human(each, "Sha", moment) for each in ids)
    totals = Totals(counts, exact=True, broken=broken, ahead=0, over_time=_over_time(int(now)))
    return Rows(_RATE, rates(now, _RATE), 0.8, latest, totals, counted_ago=0.1)


def _over_time(now: int) -> tuple[tuple[int, Mapping[str, int]], ...]:
    """Make the spans of five minutes; rows came in the last four of them."""
    full = {name: count * BUCKET_SECONDS for name, count in _PER_SECOND.items()}
    return tuple(
        (begin, full if begin >= now - _CHARTED_SECONDS else no_counts())
        for begin in range(now - 300, now, BUCKET_SECONDS)
    )


def well(now: float) -> Readings:
    """Make all well: a few ratings are on their way."""
    ids = (f"{number:08x}-95b8-4609-a7d9-20c853a5176d" for number in range(8))
    letters = {"rating_not_an_integer": 759, "not_json": 729}
    few = topics(now, lag(*range(PARTITIONS)), lag(*[1] * PARTITIONS), letters)
    return Readings(Reading("Kafka", few, now), Reading("ClickHouse", rows(now, *ids), now))


def idle(now: float) -> Readings:
    """Make a system to which nothing has come yet."""
    nothing = topics(now, lag(*[0] * PARTITIONS), lag(*[0] * PARTITIONS), {})
    empty = Totals(no_counts(), exact=True, broken=0, ahead=0, over_time=())
    return Readings(
        Reading("Kafka", nothing._replace(rate=0.0, rates=()), now),
        Reading("ClickHouse", Rows(0.0, (), None, (), empty, 0.1), now),
    )


def behind(now: float) -> Readings:
    """Make workers that are behind in each fourth partition."""
    large = lag(*(5 if number % 4 else LARGE for number in range(PARTITIONS)))
    kafka = Reading("Kafka", topics(now, large, lag(*[1] * PARTITIONS), {"not_json": 1}), now)
    return well(now)._replace(kafka=kafka)


def hostile(now: float) -> Readings:
    """Make records in which others have written whatever may do harm, and much of it."""
    reasons = {SCRIPT: 10**9, "W" * 64: 7, **{f"reason_{number}": 1 for number in range(18)}}
    few = topics(now, lag(*[1] * PARTITIONS), lag(*[1] * PARTITIONS), reasons)
    ids = (SCRIPT, "W" * 63 + "…", "\u202eevil", "' onmouseover='x", "{{ 7 * 7 }}", "&lt;b&gt;")
    stored = rows(now, *ids, broken=3)
    return Readings(Reading("Kafka", few, now), Reading("ClickHouse", stored, now))


def down(name: str, now: float) -> Readings:
    """Make a server, `kafka` or `clickhouse`, that has not answered for a minute."""
    before = well(now - 60)
    reading = replace(
        getattr(before, name), down_since=now - 60, trouble=DOWN, why=f"no {name} at {'x' * 100}"
    )
    return well(now)._replace(**{name: reading})


def unreadable(now: float) -> Readings:
    """Make a Kafka that has refused from the start."""
    refused: Reading[Topics] = Reading("Kafka", None, None, now, UNREADABLE, "not allowed")
    return well(now)._replace(kafka=refused)


STATES: Final[dict[str, Callable[[float], Readings]]] = {
    "starting": lambda _: Readings(Reading("Kafka"), Reading("ClickHouse")),
    "idle": idle,
    "well": well,
    "behind": behind,
    "hostile": hostile,
    "no Kafka": lambda now: down("kafka", now),
    "no ClickHouse": lambda now: down("clickhouse", now),
    "unreadable": unreadable,
}
