"""Bytes to ratings and shadows to bytes, a batch at a time. Pure.

Every record of a batch leaves `read` exactly once, as a rating or as a reject: bad input is a value
on a second path, never an exception and never a silent drop. Order is kept on both paths.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from enum import Enum
from itertools import compress
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from domination.shadow import ShadowType, judge_all

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

RATING_MIN: Final = -(2**63)
RATING_MAX: Final = 2**63 - 1


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
    UNWANTED = "unwanted"
    """For steps of your own, by `refuse`; the message says why. No step here gives it."""


class Rating(NamedTuple):
    """One human, as read from one record."""

    rating: int
    unique_id: str


class Fault(NamedTuple):
    """Why one record could not be used; the message never quotes the record."""

    reason: Reason
    message: str


class Reject(NamedTuple):
    """A record that could not be used: its place in the batch, counted from 0, and why."""

    place: int
    fault: Fault


@dataclass(frozen=True, slots=True)
class Records:
    """What one poll brought, in columns of equal length.

    `origin` is opaque to the steps of the dataflow; whoever made the batch finds it at the sink.
    """

    values: Sequence[bytes | None]
    keys: Sequence[bytes | None]
    origin: Any = None


@dataclass(frozen=True, slots=True)
class Ratings:
    """The readable records of a batch, in columns of equal length, and its rejects beside them."""

    ratings: Sequence[int]
    unique_ids: Sequence[str]
    keys: Sequence[bytes | None]
    rejects: Sequence[Reject] = ()
    origin: Any = None


@dataclass(frozen=True, slots=True)
class Shadows:
    """A judged batch: a type for each unique id."""

    types: Sequence[ShadowType]
    unique_ids: Sequence[str]
    keys: Sequence[bytes | None]
    rejects: Sequence[Reject] = ()
    origin: Any = None


@dataclass(frozen=True, slots=True)
class Written:
    """A batch as it goes to the wire: `values` are whole records, `types` has a byte for each."""

    values: Sequence[bytes]
    keys: Sequence[bytes | None]
    rejects: Sequence[Reject] = ()
    origin: Any = None
    types: bytes = b""


def read(records: Records) -> Ratings:
    """Read a batch: each record becomes a rating or a reject, just as `parse` says of it alone."""
    columns = _read_flat(records.values)
    if columns is not None:
        return Ratings(*columns, records.keys, (), records.origin)
    ratings: list[int] = []
    unique_ids: list[str] = []
    rejects: list[Reject] = []
    good = True
    for start in range(0, len(records.values), _FEW):
        few = records.values[start : start + _FEW]
        found = len(rejects)
        # After a bad one the next ones often are as well.
        columns = _read_flat(few) if good else None
        if columns is None:
            columns = _read_each(few, start, rejects)
        good = len(rejects) == found
        ratings += columns[0]
        unique_ids += columns[1]
    bad = {reject.place for reject in rejects}
    keys = [key for place, key in enumerate(records.keys) if place not in bad]
    return Ratings(ratings, unique_ids, keys, rejects, records.origin)


def _read_each(
    values: Sequence[bytes | None], start: int, rejects: list[Reject]
) -> tuple[list[int], list[str]]:
    """Read records one by one; those that could not be used join the rejects, placed from start."""
    ratings: list[int] = []
    unique_ids: list[str] = []
    for place, value in enumerate(values, start):
        parsed = parse(value)
        if isinstance(parsed, Fault):
            rejects.append(Reject(place, parsed))
        else:
            ratings.append(parsed.rating)
            unique_ids.append(parsed.unique_id)
    return ratings, unique_ids


def parse(value: bytes | None) -> Rating | Fault:
    """Read one record: a JSON object with `rating`, a 64-bit integer, and `unique_id`, a string.

    Other keys are ignored, so that producers may grow; of a key that is there twice the last is
    read. What not every parser takes is not JSON here, wherever it stands: a number beyond a
    double, a lone surrogate, a nesting deeper than 1024.
    """
    if value is None:
        return _TOMBSTONE
    if not value:
        return _EMPTY
    try:
        row = orjson.loads(value)
    except orjson.JSONDecodeError as error:
        return _unreadable(value, error)
    if type(row) is not dict:
        return Fault(Reason.NOT_AN_OBJECT, f"the value is {_kind(row)}, not a JSON object")
    return _rating_fault(row) or _unique_id_fault(row) or Rating(row["rating"], row["unique_id"])


def refuse(batch: Ratings, fault: Callable[[Rating], Fault | None]) -> Ratings:
    """Make rejects of the ratings that `fault` finds one in, each at its record's place."""
    rejected = {reject.place for reject in batch.rejects}
    places = [place for place in range(len(batch.keys) + len(rejected)) if place not in rejected]
    found = [fault(Rating(*each)) for each in zip(batch.ratings, batch.unique_ids, strict=True)]
    refused = [Reject(place, why) for place, why in zip(places, found, strict=True) if why]
    kept = [not why for why in found]
    return Ratings(
        list(compress(batch.ratings, kept)),
        list(compress(batch.unique_ids, kept)),
        list(compress(batch.keys, kept)),
        sorted([*batch.rejects, *refused]),
        batch.origin,
    )


def judge(batch: Ratings) -> Shadows:
    """Judge a batch, each human by its own rating alone; the rejects pass by."""
    return Shadows(
        judge_all(batch.ratings), batch.unique_ids, batch.keys, batch.rejects, batch.origin
    )


def write(batch: Shadows, emitted: datetime) -> Written:
    """Write a batch as shadow records, stamped with `emitted` in UTC, kept to the millisecond.

    The form is `{"type":1,"unique_id":"…","emit_timestamp":"2026-11-23 10:00:00.123"}`: the
    timestamp is what ClickHouse's basic parser takes, which ISO 8601 is not.
    """
    utc = emitted.astimezone(timezone.utc).replace(tzinfo=None)
    stamp = utc.isoformat(sep=" ", timespec="milliseconds")
    tail = b'","emit_timestamp":"%b"}' % stamp.encode()
    forms = [head + b"%b" + tail for head in _HEADS]
    # All at once, then cut apart at the ends of lines: a string has \n for those of its own.
    lines = orjson.dumps(batch.unique_ids, option=orjson.OPT_INDENT_2)
    dumped = lines[5:-3].split(b'",\n  "') if batch.unique_ids else ()
    values = [
        forms[shadow] % unique_id for shadow, unique_id in zip(batch.types, dumped, strict=True)
    ]
    return Written(values, batch.keys, batch.rejects, batch.origin, bytes(batch.types))


_HEADS = tuple(b'{"type":%d,"unique_id":"' % shadow for shadow in range(4))
_TOMBSTONE = Fault(Reason.TOMBSTONE, "the value is null")
_EMPTY = Fault(Reason.EMPTY, "the value has no bytes")
_RATING_MISSING = Fault(Reason.RATING_MISSING, "the object has no rating")
_RATING_OUT_OF_RANGE = Fault(Reason.RATING_OUT_OF_RANGE, "rating does not fit 64 bits")
_UNIQUE_ID_MISSING = Fault(Reason.UNIQUE_ID_MISSING, "the object has no unique_id")
_UNIQUE_ID_EMPTY = Fault(Reason.UNIQUE_ID_EMPTY, "unique_id is empty")
_OPENING_BRACE = ord("{")
_FEW: Final = 15
"""So many records share the cost of a bad one among them: it has them read one by one."""


def _read_flat(  # noqa: PLR0911 - one return for each reason to look closer
    values: Sequence[bytes | None],
) -> tuple[list[int], list[str]] | None:
    """Read a batch of good, flat records in one pass; None if it holds any other.

    One parse of the joined values costs half of a parse for each. It must not let one record
    complete another (`{"rating":3` and `"unique_id":"x"}`), so every record has to open with a
    brace and the batch must have no more braces than records. If it then parses to as many objects
    as there are records, every brace opens an object of the top level, so each object begins where
    its record begins and ends before the next: it is that record.
    """
    try:
        if set(map(itemgetter(0), values)) != {_OPENING_BRACE}:  # type: ignore[arg-type]
            return None
        joined = b",".join(values)  # type: ignore[arg-type]
        if joined.count(b"{") != len(values):
            return None
        rows = orjson.loads(b"[%b]" % joined)
        if len(rows) != len(values):
            return None
        ratings = list(map(itemgetter("rating"), rows))
        unique_ids = list(map(itemgetter("unique_id"), rows))
    except (TypeError, IndexError, KeyError, orjson.JSONDecodeError):
        return None
    if set(map(type, ratings)) != {int} or set(map(type, unique_ids)) != {str}:
        return None
    # What is below 64 bits the parser has made a float; what is above may still fit without a sign.
    if max(ratings) > RATING_MAX or not all(unique_ids):
        return None
    return ratings, unique_ids


def _unreadable(value: bytes, error: orjson.JSONDecodeError) -> Fault:
    try:
        value.decode()
    except UnicodeDecodeError as utf8:
        return Fault(Reason.NOT_UTF8, f"invalid UTF-8 at byte {utf8.start}")
    return Fault(Reason.NOT_JSON, f"not one JSON value: {error.msg} at character {error.pos}")


def _rating_fault(row: dict[str, Any]) -> Fault | None:
    if "rating" not in row:
        return _RATING_MISSING
    rating = row["rating"]
    kind = type(rating)
    if kind is int and RATING_MIN <= rating <= RATING_MAX:
        return None
    # An integer beyond 64 bits comes out of the parser as a float.
    if kind is int or (kind is float and abs(rating) > RATING_MAX):
        return _RATING_OUT_OF_RANGE
    return Fault(Reason.RATING_NOT_AN_INTEGER, f"rating is {_kind(rating)}, not an integer")


def _unique_id_fault(row: dict[str, Any]) -> Fault | None:
    if "unique_id" not in row:
        return _UNIQUE_ID_MISSING
    unique_id = row["unique_id"]
    if type(unique_id) is not str:
        kind = _kind(unique_id)
        return Fault(Reason.UNIQUE_ID_NOT_A_STRING, f"unique_id is {kind}, not a string")
    if not unique_id:
        return _UNIQUE_ID_EMPTY
    return None


def _kind(value: object) -> str:
    return _KINDS[type(value)]


_KINDS = {
    dict: "an object",
    list: "an array",
    str: "a string",
    int: "an integer",
    float: "a number with a fraction or exponent",
    bool: "a boolean",
    type(None): "null",
}
