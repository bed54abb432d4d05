"""The rule: a rating becomes a shadow. Pure; standard library only."""

from __future__ import annotations

from enum import IntFlag
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable


class ShadowType(IntFlag):
    """What a human is, by its rating. The integer is the one that is written."""

    INCOMPATIBLE = 0
    SHA = 1
    DOW = 2
    SHADOW = SHA | DOW

    @property
    def label(self) -> str:
        """The name people read: `Sha`, `Dow`, `ShaDow` or `Incompatible`."""
        return _LABELS[self]


_LABELS = {
    ShadowType.INCOMPATIBLE: "Incompatible",
    ShadowType.SHA: "Sha",
    ShadowType.DOW: "Dow",
    ShadowType.SHADOW: "ShaDow",
}
LABELS: Final = tuple(_LABELS.values())
"""The names of all four types, in the order of their values."""

VERDICTS: Final = tuple(
    (ShadowType.INCOMPATIBLE if rating % 3 else ShadowType.SHA)
    | (ShadowType.INCOMPATIBLE if rating % 5 else ShadowType.DOW)
    for rating in range(15)
)
"""The rule has the period 15 = 3 * 5: `VERDICTS[rating % 15]` judges any integer."""


def judge(rating: int) -> ShadowType:
    """Judge one human: divisible by 3 is Sha, by 5 Dow, by both ShaDow, by neither Incompatible.

    Total over the integers: zero is ShaDow, -9 is Sha.
    """
    return VERDICTS[rating % 15]


def judge_all(ratings: Iterable[int]) -> list[ShadowType]:
    """Judge humans in order: `[judge(rating) for rating in ratings]`, without a call for each."""
    return [VERDICTS[rating % 15] for rating in ratings]
