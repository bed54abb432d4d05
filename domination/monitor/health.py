"""Whether all is well: the word at the top of the page. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from domination.monitor.reading import DOWN

if TYPE_CHECKING:
    from domination.monitor.reading import Readings
    from domination.monitor.topics import Lag, Topics

# Far above the time that a block of shadow_stream takes.
_LARGE_SECONDS: Final = 10
_LARGE_LEAST: Final = 100
_RECENT: Final = 30


class Health(NamedTuple):
    """The answer in a word, and in a sentence."""

    state: Literal["good", "wait", "warn", "bad"]
    word: str
    why: str = ""


def health(readings: Readings) -> Health:
    """Say whether all is well. Why a source is down is told beside its name."""
    if troubles := [each.trouble for each in readings if each.down_since is not None]:
        return Health("bad", (DOWN if DOWN in troubles else troubles[0]).capitalize())
    topics = readings.kafka.data
    if topics is None or readings.clickhouse.data is None:
        return Health("wait", "Starting", "Not every server has answered yet.")
    if behind := " ".join(_behind(topics)):
        return Health("warn", "Behind", behind)
    if topics.rate:
        return Health("good", "Well", "Ratings are judged and stored as they come.")
    return Health("good", "Well", "No ratings arrive.")


def _behind(topics: Topics) -> list[str]:
    lags = topics.lags
    told = {
        "Ratings wait for the workers.": lags and lags.worker,
        "Shadows wait for ClickHouse.": lags and lags.clickhouse,
    }
    return [text for text, lag in told.items() if lag and lag.total > most(topics, lag)]


def most(topics: Topics, lag: Lag) -> float:
    """Give the most that may wait for a group: ten seconds of ratings, or a hundred and the marks.

    The rate is the highest of the last half minute, since what waits came a while ago.
    """
    rate = max((rate for _, rate in topics.rates[-_RECENT:]), default=0.0)
    return max(rate * _LARGE_SECONDS, _LARGE_LEAST + len(lag.by_partition))


def most_in_one(topics: Topics, lag: Lag) -> float:
    """Give the most that may wait in one partition: its share of `most`, or a hundred."""
    return max(most(topics, lag) / max(len(lag.by_partition), 1), _LARGE_LEAST)
