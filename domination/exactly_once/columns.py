"""What is sent, in columns: values, and what they carry over from their records."""

from __future__ import annotations

from itertools import compress, repeat
from typing import TYPE_CHECKING, Any, NamedTuple

from domination.exactly_once.batch import BrokenContractError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from domination.exactly_once.batch import Headers, Outcome


class Columns(NamedTuple):
    """Records to send, in columns of equal length; a column that is None has nothing to say."""

    topics: Sequence[str]
    used: frozenset[str]
    """The topics among them."""
    values: Sequence[bytes | None]
    keys: Sequence[bytes | None]
    headers: Sequence[Headers | None] | None = None
    timestamps: Sequence[int] | None = None
    """In milliseconds since 1970; 0 is now."""

    def arguments(self, values: Iterator[bytes | None]) -> list[Iterable[Any]]:
        """Give the columns of what a producer's `produce` takes by place, with these values."""
        found: list[Iterable[Any]] = [self.topics, values, self.keys]
        if self.headers is not None or self.timestamps is not None:
            # After the partition and two callbacks.
            timestamps = repeat(0) if self.timestamps is None else self.timestamps
            found += [repeat(-1), repeat(None), repeat(None), timestamps]
        return found if self.headers is None else [*found, self.headers]

    def selected(self, wanted: Sequence[bool]) -> Columns:
        """Give the records that are wanted."""
        topics, _, *rest = self
        columns: Any = [None if each is None else list(compress(each, wanted)) for each in rest]
        return Columns(list(compress(topics, wanted)), self.used, *columns)


def columns(outcome: Outcome, topics: Sequence[str]) -> Columns:
    """Give what to send for an outcome; raises `BrokenContractError` where a topic is not known."""
    records, values = outcome.records, outcome.values
    if outcome.topics is None:
        if len(topics) > 1:
            raise BrokenContractError(f"a step chose no topic for its values, of {list(topics)}")
        used = frozenset(topics)
        chosen: Sequence[str] = [topics[0]] * len(values)
    else:
        used = frozenset(chosen := outcome.topics)
        if not used <= set(topics):
            raise BrokenContractError(f"a step chose {sorted(used - set(topics))}: no output topic")
    headers = outcome.headers
    if headers is None and any(carried := records.headers):
        headers = outcome.kept(carried)
    timestamps = outcome.timestamps
    if timestamps is None:
        timestamps = outcome.kept(records.timestamps)
    if min(timestamps, default=0) < 0:  # A record without one gets the time of now.
        timestamps = [max(each, 0) for each in timestamps]
    keys = outcome.kept(records.keys) if outcome.keys is None else outcome.keys
    return Columns(chosen, used, values, keys, headers, timestamps)
