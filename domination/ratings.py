"""Bytes of the input topic to ratings, a batch at a time. Pure.

Every record leaves `read` exactly once, as a rating or as a fault: bad input is a value, never an
exception and never a silent drop.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Final

import msgspec

from domination.exactly_once.batch import Fault

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

RATING_MIN: Final = -(2**63)
RATING_MAX: Final = 2**63 - 1
DEEPEST: Final = 500
"""A record that nests deeper is refused: the parser's own limit depends on Python's stack."""


class Reason(str, Enum):
    """Why a record became a dead letter: the closed list that operators filter by."""

    TOMBSTONE = "tombstone"
    EMPTY = "empty"
    NOT_UTF8 = "not_utf8"
    NOT_JSON = "not_json"
    NOT_AN_OBJECT = "not_an_object"
    RATING_MISSING = "rating_missing"
    RATING_NOT_AN_INTEGER = "rating_not_an_integer"
    RATING_OUT_OF_RANGE = "rating_out_of_range"
    UNIQUE_ID_MISSING = "unique_id_missing"
    UNIQUE_ID_NOT_A_STRING = "unique_id_not_a_string"
    UNIQUE_ID_EMPTY = "unique_id_empty"
    SHADOW_TOO_LARGE = "shadow_too_large"
    BATCH_TOO_LARGE = "batch_too_large"
    UNWANTED = "unwanted"
    """For filters of your own. No step here gives it."""

    __str__ = str.__str__
    """A reason is its value wherever it is shown."""


class Rating(msgspec.Struct, frozen=True, gc=False):
    """One human, as read from one record."""

    rating: Annotated[int, msgspec.Meta(ge=RATING_MIN, le=RATING_MAX)]
    unique_id: Annotated[str, msgspec.Meta(min_length=1)]


def read(values: Sequence[bytes | None]) -> list[Rating | Fault]:
    """Read the records of a batch, each just as `parse` does it alone."""
    if max(map(len, filter(None, values)), default=0) > DEEPEST:
        return list(map(_read, values))
    # The calls come from C. The list keeps what was read before one that fails, and the map goes on
    # behind it.
    found: list[Rating | Fault] = []
    left: Iterator[Rating] = map(_decode, values)  # type: ignore[arg-type]  # TypeError for None
    while len(found) < len(values):
        try:
            found.extend(left)
        except _UNREADABLE:  # noqa: PERF203 - only the bad ones
            found.append(parse(values[len(found)]))
    return found


def _read(value: bytes | None) -> Rating | Fault:
    """Read a record that may nest too deep."""
    try:
        if len(value) > DEEPEST:  # type: ignore[arg-type]  # TypeError
            _require_shallow(value)  # type: ignore[arg-type]
        return _decode(value)  # type: ignore[arg-type]
    except _UNREADABLE:
        return parse(value)


def parse(value: bytes | None) -> Rating | Fault:
    """Read one record: a JSON object with `rating`, a 64-bit integer, and `unique_id`, a string.

    Other keys are ignored, so that producers may grow: what they hold has to have the form of JSON,
    but it may be a number beyond a double or text that is not UTF-8. Of a key that is there twice
    the last is read. A lone surrogate, or a nesting deeper than 500, is not JSON here, wherever it
    stands.
    """
    if value is None:
        return _TOMBSTONE
    if not value:
        return _EMPTY
    try:
        _require_shallow(value)
        fields = _FIELDS.decode(value)
        rating, unique_id = bytes(fields.rating), bytes(fields.unique_id)
        fault = _rating_fault(rating) or _unique_id_fault(unique_id)
        return fault or Rating(int(rating), _STRING.decode(unique_id))
    except msgspec.ValidationError:
        return _no_object(value)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return _unreadable(value, error)


class _Fields(msgspec.Struct):
    """The two fields as they are written; empty is missing."""

    rating: msgspec.Raw = msgspec.Raw()
    unique_id: msgspec.Raw = msgspec.Raw()


_decode: Final = msgspec.json.Decoder(Rating).decode
_JSON: Final = msgspec.json.Decoder(msgspec.Raw)
_FIELDS: Final = msgspec.json.Decoder(_Fields)
_STRING: Final = msgspec.json.Decoder(str)

_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, TypeError)

_TOMBSTONE = Fault(Reason.TOMBSTONE, "the value is null")
_EMPTY = Fault(Reason.EMPTY, "the value has no bytes")
_RATING_MISSING = Fault(Reason.RATING_MISSING, "the object has no rating")
_RATING_OUT_OF_RANGE = Fault(Reason.RATING_OUT_OF_RANGE, "rating does not fit 64 bits")
_UNIQUE_ID_MISSING = Fault(Reason.UNIQUE_ID_MISSING, "the object has no unique_id")
_UNIQUE_ID_EMPTY = Fault(Reason.UNIQUE_ID_EMPTY, "unique_id is empty")


def _require_shallow(value: bytes) -> None:
    """Raise where brackets outside of strings nest too deep, as far as the value is JSON."""
    if value.count(b"[") + value.count(b"{") <= DEEPEST:
        return
    depth, in_string = 0, False
    for found in _TOKENS.finditer(value):
        token = found[0]
        if token == b'"':
            in_string = not in_string
        elif not in_string:
            depth += _STEPS.get(token, 0)
            if depth > DEEPEST:
                raise msgspec.DecodeError(f"nested deeper than {DEEPEST}")


_TOKENS: Final = re.compile(rb'\\.|["\[\]{}]', re.DOTALL)
_STEPS: Final = {b"[": 1, b"{": 1, b"]": -1, b"}": -1}


def _no_object(value: bytes) -> Fault:
    try:
        kind = _kind(bytes(_JSON.decode(value)))
    except msgspec.DecodeError as error:
        return _unreadable(value, error)
    return Fault(Reason.NOT_AN_OBJECT, f"the value is {kind}, not a JSON object")


def _unreadable(value: bytes, error: msgspec.DecodeError | UnicodeDecodeError) -> Fault:
    try:
        value.decode()
    except UnicodeDecodeError as utf8:
        return Fault(Reason.NOT_UTF8, f"invalid UTF-8 at byte {utf8.start}")
    return Fault(Reason.NOT_JSON, f"not one JSON value: {error}")


def _rating_fault(rating: bytes) -> Fault | None:
    if not rating:
        return _RATING_MISSING
    kind = _kind(rating)
    if kind != "an integer":
        return Fault(Reason.RATING_NOT_AN_INTEGER, f"rating is {kind}, not an integer")
    if len(rating) > _LONGEST or not RATING_MIN <= int(rating) <= RATING_MAX:
        return _RATING_OUT_OF_RANGE
    return None


def _unique_id_fault(unique_id: bytes) -> Fault | None:
    if not unique_id:
        return _UNIQUE_ID_MISSING
    kind = _kind(unique_id)
    if kind != "a string":
        return Fault(Reason.UNIQUE_ID_NOT_A_STRING, f"unique_id is {kind}, not a string")
    return _UNIQUE_ID_EMPTY if unique_id == b'""' else None


def _kind(json: bytes) -> str:
    """Name the kind of a JSON value that has no white space before it."""
    if kind := _KINDS.get(json[:1]):
        return kind
    return "a number with a fraction or exponent" if _FRACTION.search(json) else "an integer"


_LONGEST: Final = len(str(RATING_MIN))
_FRACTION: Final = re.compile(rb"[.eE]")
_KINDS: Final = {
    b"{": "an object",
    b"[": "an array",
    b'"': "a string",
    b"t": "a boolean",
    b"f": "a boolean",
    b"n": "null",
}
