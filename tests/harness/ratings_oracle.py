"""What a record says by Python's own parser, made strict: a second opinion on `ratings`."""

from __future__ import annotations

import json
import re
from itertools import accumulate
from typing import Any, Final, NamedTuple

DEEPEST: Final = 500
_STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_STEPS: Final = {"[": 1, "{": 1, "]": -1, "}": -1}


class Shadow(NamedTuple):
    """What is to be seen of one good record."""

    type: int
    unique_id: str


class Human(NamedTuple):
    """What one good record says."""

    rating: int
    unique_id: str

    @property
    def shadow(self) -> Shadow:
        return Shadow((self.rating % 3 == 0) + 2 * (self.rating % 5 == 0), self.unique_id)


class _Pairs(list[tuple[str, Any]]):
    """An object with all that it holds, also under a name that it has twice."""


def human(value: bytes | None) -> Human | None:
    """Read one record; None is one that has to be a dead letter."""
    if value is None:
        return None
    try:
        found = _strictly(value.decode(errors="replace"))
        if not isinstance(found, _Pairs):
            return None
        # Bytes that are not UTF-8 are as bad as lone surrogates here, and nobody looks elsewhere.
        row = dict(_json(value.decode(errors="surrogateescape")))
        rating, unique_id = row.get("rating"), row.get("unique_id")
        if type(rating) is not int or not -(2**63) <= rating < 2**63:
            return None
        if type(unique_id) is not str or not unique_id.encode():
            return None
    except ValueError:
        return None
    return Human(rating, unique_id)


def _strictly(text: str) -> Any:
    """Parse what has the form of JSON: no NaN, no lone surrogate, no nesting beyond all bounds."""
    if max(accumulate(_STEPS.get(each, 0) for each in _STRING.sub("", text)), default=0) > DEEPEST:
        raise ValueError
    found = _json(text)
    json.dumps(found, ensure_ascii=False).encode()  # A lone surrogate has no UTF-8.
    return found


def _json(text: str) -> Any:
    return json.loads(text, parse_constant=_no, parse_int=_integer, object_pairs_hook=_Pairs)


def _no(constant: str) -> float:
    raise ValueError(constant)


def _integer(digits: str) -> int:
    return int(digits[:40])  # Thousands of digits would be refused by `int`; these are too many.
