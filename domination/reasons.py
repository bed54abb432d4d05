"""Dead letters counted by reason, in so much memory, whatever others write as one. Pure."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

from domination.text import shortened

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

LONGEST_REASON: Final = 60
"""Reasons that have so many first characters in common count as one."""
MOST_SHOWN: Final = 20

_MOST_KEPT: Final = 1_000


class ByReason(NamedTuple):
    """Dead letters by reason."""

    reasons: Mapping[str, int]
    """The `MOST_SHOWN` most frequent reasons, the most frequent first."""
    more: int
    """How many reasons there are beyond them."""
    exact: bool
    """Whether there are no more than that: a thousand are told apart."""
    letters: int
    """Dead letters of all other reasons."""


class Reasons:
    """Counts reasons: a thousand by their names, the `known` ones always."""

    def __init__(self, known: Iterable[str] = (), kept: int = _MOST_KEPT) -> None:
        self._known = frozenset(known)
        self._kept = kept
        self._counts: Counter[str] = Counter()
        self.letters = 0
        """How many dead letters have been counted."""

    def add(self, reason: str) -> None:
        """Count a dead letter."""
        name = shortened(reason, LONGEST_REASON)
        self.letters += 1
        if name in self._counts or name in self._known or len(self._counts) < self._kept:
            self._counts[name] += 1

    def counted(self) -> ByReason:
        """Give what has been counted."""
        shown = dict(self._counts.most_common(MOST_SHOWN))
        more, named = len(self._counts) - len(shown), sum(self._counts.values())
        return ByReason(shown, more, named == self.letters, self.letters - sum(shown.values()))
