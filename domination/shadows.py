"""Ratings to shadows, and shadows to bytes of the output topic, a batch at a time. Pure."""

from __future__ import annotations

from datetime import datetime, timezone
from operator import itemgetter
from typing import TYPE_CHECKING, Final

import orjson

from domination.shadow import VERDICTS, ShadowType

if TYPE_CHECKING:
    from collections.abc import Sequence

    from domination.exactly_once.batch import Batch, Outcome
    from domination.ratings import Rating

Shadow = tuple[ShadowType, str]
"""What a human is, and its unique id."""


def judge(ratings: Sequence[Rating]) -> list[Shadow]:
    """Judge humans, each by its own rating alone."""
    return [(VERDICTS[human.rating % 15], human.unique_id) for human in ratings]


def encode_one(shadow: Shadow, emitted: datetime) -> bytes:
    """Write one shadow, stamped with `emitted` in UTC, kept to the millisecond.

    The form is `{"type":1,"unique_id":"…","emit_timestamp":"2026-11-23 10:00:00.123"}`: the
    timestamp is what ClickHouse's basic parser takes, which ISO 8601 is not.
    """
    kind, unique_id = shadow
    return orjson.dumps(
        {"type": int(kind), "unique_id": unique_id, "emit_timestamp": _stamp(emitted)}
    )


def encode(shadows: Sequence[Shadow], emitted: datetime) -> list[bytes]:
    """Write shadows, each as `encode_one` writes it."""
    if not shadows:
        return []
    types, unique_ids = [kind for kind, _ in shadows], [unique_id for _, unique_id in shadows]
    tail = b'","emit_timestamp":"%b"}' % _stamp(emitted).encode()
    forms = [head + b"%b" + tail for head in _HEADS]
    # All at once, then cut apart at the ends of lines: a string has \n for those of its own.
    dumped = orjson.dumps(unique_ids, option=orjson.OPT_INDENT_2)[5:-3].split(b'",\n  "')
    return [forms[kind] % unique_id for kind, unique_id in zip(types, dumped, strict=True)]


def write(batch: Batch[Shadow], emitted: datetime) -> Outcome:
    """Give the outcome of a batch; the kinds are the shadows' types, a byte each."""
    kinds = bytes(map(_FIRST, batch.items))
    return batch.outcome(encode(batch.items, emitted), kinds=kinds)


_FIRST: Final = itemgetter(0)
_HEADS: Final = tuple(b'{"type":%d,"unique_id":"' % shadow for shadow in range(4))


def _stamp(emitted: datetime) -> str:
    utc = emitted.astimezone(timezone.utc).replace(tzinfo=None)
    return utc.isoformat(sep=" ", timespec="milliseconds")
