"""Records that workers are tried with: good ones of every kind, and each kind of bad one."""

from __future__ import annotations

import random
import uuid
from typing import TYPE_CHECKING, Final

import orjson

from domination.ratings import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.pipeline import Sent

SECRET: Final = "s3cret-never-printed"

BAD: Final[dict[bytes | None, str]] = {
    value: reason.value
    for value, reason in {
        None: Reason.TOMBSTONE,
        b"": Reason.EMPTY,
        b'{"rating":3,"unique_id":"%b"' % SECRET.encode(): Reason.NOT_JSON,
        b'{"rating":3,"unique_id":"x"}{"rating":3,"unique_id":"y"}': Reason.NOT_JSON,
        b'{"rating":3,"unique_id":"x"},{"rating":3,"unique_id":"y"}': Reason.NOT_JSON,
        b'{"rating":3,"unique_id":"x"},{"rating":5': Reason.NOT_JSON,
        b'"unique_id":"y"}': Reason.NOT_JSON,
        b'[{"rating":3,"unique_id":"x"}]': Reason.NOT_AN_OBJECT,
        b'"%b"' % SECRET.encode(): Reason.NOT_AN_OBJECT,
        b"3": Reason.NOT_AN_OBJECT,
        b"null": Reason.NOT_AN_OBJECT,
        b'{"rating":3,"unique_id":"\xff\xfe"}': Reason.NOT_UTF8,
        b'{"unique_id":"x"}': Reason.RATING_MISSING,
        b'{"rating":3}': Reason.UNIQUE_ID_MISSING,
        b'{"rating":"3","unique_id":"x"}': Reason.RATING_NOT_AN_INTEGER,
        b'{"rating":3.0,"unique_id":"x"}': Reason.RATING_NOT_AN_INTEGER,
        b'{"rating":true,"unique_id":"x"}': Reason.RATING_NOT_AN_INTEGER,
        b'{"rating":null,"unique_id":"x"}': Reason.RATING_NOT_AN_INTEGER,
        b'{"rating":[3],"unique_id":"x"}': Reason.RATING_NOT_AN_INTEGER,
        b'{"rating":NaN,"unique_id":"x"}': Reason.NOT_JSON,
        b'{"rating":9223372036854775808,"unique_id":"x"}': Reason.RATING_OUT_OF_RANGE,
        b'{"rating":100000000000000000000,"unique_id":"x"}': Reason.RATING_OUT_OF_RANGE,
        b'{"rating":3,"unique_id":7}': Reason.UNIQUE_ID_NOT_A_STRING,
        b'{"rating":3,"unique_id":""}': Reason.UNIQUE_ID_EMPTY,
        b'{"rating":3,"unique_id":"\\ud800"}': Reason.NOT_JSON,
        b"[" * 5_000: Reason.NOT_JSON,
        b"text " * 180_000: Reason.NOT_JSON,
    }.items()
}


def humans(count: int, seed: int = 1, keys: int = 50) -> Iterator[Sent]:
    """Rate humans -100 to 1337, with unknown keys now and then, under few keys and none."""
    chance = random.Random(seed)
    for number in range(count):
        human: dict[str, object] = {
            "rating": chance.randint(-100, 1337),
            "unique_id": str(uuid.UUID(int=chance.getrandbits(128), version=4)),
        }
        if number % 7 == 0:
            human |= {"name": 'quote " and \n and 😀', "more": {"nested": [1, {}]}}
        key = None if number % 10 == 0 else b"key-%d" % chance.randrange(keys)
        # A copy: orjson's own bytes keep the four kilobytes that they were written into.
        yield b"%b" % orjson.dumps(human), key


def mixed(count: int, each_bad: int = 3, seed: int = 1) -> list[Sent]:
    """Mix good records with every bad one, `each_bad` times, in an order of the seed."""
    chance = random.Random(seed)
    records = list(humans(count, seed))
    for value in BAD:
        for _ in range(each_bad if value is None or len(value) < 10_000 else 1):
            records.insert(chance.randrange(len(records)), (value, b"bad"))
    return records
