"""Ratings to shadows, and shadows to bytes of the output topic, a batch at a time. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import orjson

from domination.exactly_once.batch import Outcome, Reject
from domination.shadow import ShadowType, judge_all

if TYPE_CHECKING:
    from collections.abc import Sequence

    from domination.ratings import Ratings


@dataclass(frozen=True, slots=True)
class Shadows:
    """A judged batch: a type for each unique id."""

    types: Sequence[ShadowType]
    unique_ids: Sequence[str]
    keys: Sequence[bytes | None]
    rejects: Sequence[Reject] = ()
    origin: Any = None


def judge(batch: Ratings) -> Shadows:
    """Judge a batch, each human by its own rating alone; the rejects pass by."""
    return Shadows(
        judge_all(batch.ratings), batch.unique_ids, batch.keys, batch.rejects, batch.origin
    )


def encode_one(shadow: ShadowType, unique_id: str, emitted: datetime) -> bytes:
    """Write one shadow, stamped with `emitted` in UTC, kept to the millisecond.

    The form is `{"type":1,"unique_id":"…","emit_timestamp":"2026-11-23 10:00:00.123"}`: the
    timestamp is what ClickHouse's basic parser takes, which ISO 8601 is not.
    """
    return orjson.dumps(
        {"type": int(shadow), "unique_id": unique_id, "emit_timestamp": _stamp(emitted)}
    )


def write(batch: Shadows, emitted: datetime) -> Outcome:
    """Write a batch, each shadow as `encode_one` writes it."""
    tail = b'","emit_timestamp":"%b"}' % _stamp(emitted).encode()
    forms = [head + b"%b" + tail for head in _HEADS]
    # All at once, then cut apart at the ends of lines: a string has \n for those of its own.
    lines = orjson.dumps(batch.unique_ids, option=orjson.OPT_INDENT_2)
    dumped = lines[5:-3].split(b'",\n  "') if batch.unique_ids else ()
    values = [
        forms[shadow] % unique_id for shadow, unique_id in zip(batch.types, dumped, strict=True)
    ]
    return Outcome(values, batch.keys, batch.rejects, batch.origin, bytes(batch.types))


_HEADS = tuple(b'{"type":%d,"unique_id":"' % shadow for shadow in range(4))


def _stamp(emitted: datetime) -> str:
    utc = emitted.astimezone(timezone.utc).replace(tzinfo=None)
    return utc.isoformat(sep=" ", timespec="milliseconds")
