"""What the open transaction holds, counted for the observer."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from domination.exactly_once.ports import Committed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from domination.exactly_once.batch import Outcome, Records, Reject

SAMPLED: Final = 50
"""Of the records of a poll the first and then each so many-th is asked for its age."""


class Tally:
    """Counts from the begin of a transaction on. Times are seconds on one clock."""

    def __init__(self) -> None:
        self.begin(0.0)

    def begin(self, now: float) -> None:
        """Forget what was counted: a transaction opens."""
        self._began = now
        self.records = 0
        """How many were read."""
        self._timestamps: list[int] = []
        self._kinds: list[Sequence[Any]] = []
        self._rejects: Counter[str] = Counter()
        self._dropped: Counter[str] = Counter()

    def read(self, records: Records) -> None:
        """Count what was read."""
        self.records += len(records)
        self._timestamps += records.sampled(SAMPLED)

    def wrote(self, outcome: Outcome, too_large: Sequence[Reject]) -> None:
        """Count what became of a batch; `too_large` are values that became rejects."""
        for reject in (*outcome.rejects, *too_large):
            (self._dropped if reject.dropped else self._rejects)[reject.fault.reason] += 1
        kinds = outcome.kinds
        if len(kinds) > 0 and too_large:
            unsent = {reject.place for reject in too_large}
            places = outcome.kept(range(len(outcome.records)))
            kinds = [kind for kind, place in zip(kinds, places, strict=True) if place not in unsent]
        if len(kinds) > 0:
            self._kinds.append(kinds)

    def committed(self, now: float) -> Committed:
        """Give what the transaction held."""
        return Committed(
            self.records,
            self._kinds,
            self._rejects,
            self._dropped,
            self._timestamps,
            now - self._began,
        )
