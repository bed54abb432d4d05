"""Numbers and moments as the page writes them. Pure."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from domination.monitor.reading import Readings

_NOTHING: Final = "-"
# A count that is no older than this is as good as new.
_OLD_SECONDS: Final = 2.0


def moment(seconds: float) -> str:
    """Write a moment, in seconds since 1970: hh:mm:ss, and the zone."""
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%H:%M:%S UTC")


def counted_at(readings: Readings) -> str:
    """Say when ClickHouse counted what it has to count, if that is a while ago."""
    rows, at = readings.clickhouse.data, readings.clickhouse.at
    if rows is None or at is None or rows.counted_ago < _OLD_SECONDS:
        return ""
    return f"as of {moment(at - rows.counted_ago)}"


def number(value: float | None) -> str:
    """Write a whole number, or a rate without its fraction."""
    return _NOTHING if value is None else f"{value:,.0f}"


def age(seconds: float | None) -> str:
    """Write a duration, to a tenth of a second."""
    return _NOTHING if seconds is None else f"{seconds:,.1f} s"
