"""Bytes to ratings, shadows to bytes."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import strategies
import wire_oracle
from domination.shadow import ShadowType
from domination.shadow import judge as judge_one
from domination.wire import (
    Fault,
    Rating,
    Ratings,
    Reason,
    Records,
    Reject,
    Shadows,
    judge,
    parse,
    read,
    refuse,
    write,
)

NOW = datetime(2026, 11, 23, 10, 0, 0, 123_456, tzinfo=timezone.utc)
GOOD = b'{"rating":3,"unique_id":"x"}'


def keyed(values: list[bytes | None]) -> Records:
    return Records(values, [str(index).encode() for index in range(len(values))], "origin")


@given(strategies.batches)
@example([b'{"rating":3', b'"unique_id":"x"}'])
@example([b'{"rating":3,"unique_id":"x"},{"rating":5', b'"unique_id":"y"}'])
@example([b'{"rating":3,"unique_id":"x"},{"rating":5,"unique_id":"y","z":[{}', b'{}],"w":1}'])
@example([GOOD, GOOD + b"," + GOOD, GOOD])
def test_a_batch_is_read_as_its_records_one_by_one(values: list[bytes | None]) -> None:
    batch = read(keyed(values))
    alone = [parse(value) for value in values]
    good = [(i, each) for i, each in enumerate(alone) if isinstance(each, Rating)]
    bad = [Reject(i, each) for i, each in enumerate(alone) if isinstance(each, Fault)]
    assert list(batch.rejects) == bad
    assert list(zip(batch.ratings, batch.unique_ids, batch.keys, strict=True)) == [
        (*each, str(i).encode()) for i, each in good
    ]


@given(strategies.batches)
@example([GOOD, b"", GOOD])
def test_what_is_refused_is_a_reject_at_its_place_and_the_rest_is_as_it_was(
    values: list[bytes | None],
) -> None:
    unwanted = Fault(Reason.UNWANTED, "an odd one")
    batch = refuse(read(keyed(values)), lambda human: unwanted if human.rating % 2 else None)
    alone = [parse(value) for value in values]
    after = [unwanted if isinstance(each, Rating) and each.rating % 2 else each for each in alone]
    assert batch.rejects == [Reject(i, each) for i, each in enumerate(after) if type(each) is Fault]
    assert list(zip(batch.ratings, batch.unique_ids, batch.keys, strict=True)) == [
        (*each, str(i).encode()) for i, each in enumerate(after) if type(each) is Rating
    ]
    assert batch.origin == "origin"


@given(strategies.batches)
def test_shadows_and_rejects_are_the_records_of_the_batch(values: list[bytes | None]) -> None:
    written = write(judge(read(keyed(values))), NOW)
    assert len(written.values) == len(written.keys)
    assert len(written.values) + len(written.rejects) == len(values)
    assert written.origin == "origin"


@given(strategies.values)
@example(b'{"rating":9223372036854775808,"unique_id":"x"}')
@example(b'{"rating":3,"unique_id":"x","more":1e999}')
@example(b'{"rating":3,"unique_id":"x","more":"\\ud800"}')
@example(b'{"rating":3,"unique_id":"x","more":%b}' % (b"[" * 500 + b"]" * 500))
@example(b'{"rating":3,"unique_id":"x","rating":"5"}')
@example(b'{"rating":"3","unique_id":"x","rating":5}')
def test_what_is_read_is_what_the_standard_parser_reads(value: bytes | None) -> None:
    parsed = parse(value)
    human = wire_oracle.human(value)
    assert parsed == Rating(*human) if human else isinstance(parsed, Fault)


@given(st.lists(st.tuples(strategies.ratings, strategies.unique_ids)))
def test_good_records_are_never_rejected(humans: list[tuple[int, str]]) -> None:
    values = [
        orjson.dumps(dict(zip(("rating", "unique_id"), human, strict=True))) for human in humans
    ]
    batch = read(keyed(list(values)))
    assert not batch.rejects
    assert list(zip(batch.ratings, batch.unique_ids, strict=True)) == humans


@given(st.lists(strategies.ratings))
def test_a_batch_is_judged_as_its_records_one_by_one(ratings: list[int]) -> None:
    ids = [str(index) for index in range(len(ratings))]
    batch = judge(Ratings(ratings, ids, [None] * len(ids), origin="origin"))
    assert batch.types == [judge_one(rating) for rating in ratings]
    assert (batch.unique_ids, batch.origin) == (ids, "origin")


@pytest.mark.parametrize("loads", [json.loads, orjson.loads])
@given(
    shadows=st.lists(st.tuples(st.sampled_from(ShadowType), strategies.unique_ids)),
    emitted=st.datetimes(
        datetime(1970, 1, 2),  # noqa: DTZ001 - hypothesis takes bounds without a zone
        datetime(2200, 1, 1),  # noqa: DTZ001
        timezones=st.just(timezone.utc),
    ),
)
@example([(ShadowType.SHA, each) for each in ('",', ',"', ",", '",\n  "', "x")], NOW)
def test_what_is_written_parses_back_to_the_same_shadows(
    loads: object, shadows: list[tuple[ShadowType, str]], emitted: datetime
) -> None:
    assert callable(loads)
    batch = Shadows([s for s, _ in shadows], [i for _, i in shadows], [None] * len(shadows))
    rows = [loads(value) for value in write(batch, emitted).values]
    assert [(row["type"], row["unique_id"]) for row in rows] == shadows
    for row in rows:
        assert list(row) == ["type", "unique_id", "emit_timestamp"]
        stamp = datetime.strptime(row["emit_timestamp"] + "+0000", "%Y-%m-%d %H:%M:%S.%f%z")
        assert timedelta(0) <= emitted - stamp < timedelta(milliseconds=1)


def test_a_shadow_is_stamped_in_utc_whatever_the_zone_of_the_clock() -> None:
    clock = NOW.astimezone(timezone(timedelta(hours=-7)))
    (value,) = write(Shadows([ShadowType.DOW], ["x"], [None]), clock).values
    assert value == b'{"type":2,"unique_id":"x","emit_timestamp":"2026-11-23 10:00:00.123"}'


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, Reason.TOMBSTONE),
        (b"", Reason.EMPTY),
        (b'{"rating":3,"unique_id":"x"', Reason.NOT_JSON),
        (GOOD + GOOD, Reason.NOT_JSON),
        (GOOD + b"\n" + GOOD, Reason.NOT_JSON),
        (GOOD + b"," + GOOD, Reason.NOT_JSON),
        (b"[" + GOOD + b"]", Reason.NOT_AN_OBJECT),
        (b'"x"', Reason.NOT_AN_OBJECT),
        (b"3", Reason.NOT_AN_OBJECT),
        (b"null", Reason.NOT_AN_OBJECT),
        (b'{"rating":3,"unique_id":"\xff"}', Reason.NOT_UTF8),
        (b"\xef\xbb\xbf" + GOOD, Reason.NOT_JSON),
        (b'{"unique_id":"x"}', Reason.RATING_MISSING),
        (b'{"rating":3}', Reason.UNIQUE_ID_MISSING),
        (b'{"rating":"3","unique_id":"x"}', Reason.RATING_NOT_AN_INTEGER),
        (b'{"rating":3.0,"unique_id":"x"}', Reason.RATING_NOT_AN_INTEGER),
        (b'{"rating":3e0,"unique_id":"x"}', Reason.RATING_NOT_AN_INTEGER),
        (b'{"rating":true,"unique_id":"x"}', Reason.RATING_NOT_AN_INTEGER),
        (b'{"rating":null,"unique_id":"x"}', Reason.RATING_NOT_AN_INTEGER),
        (b'{"rating":[3],"unique_id":"x"}', Reason.RATING_NOT_AN_INTEGER),
        (b'{"rating":NaN,"unique_id":"x"}', Reason.NOT_JSON),
        (b'{"rating":9223372036854775808,"unique_id":"x"}', Reason.RATING_OUT_OF_RANGE),
        (b'{"rating":-9223372036854775809,"unique_id":"x"}', Reason.RATING_OUT_OF_RANGE),
        (b'{"rating":1%b,"unique_id":"x"}' % (b"0" * 60), Reason.RATING_OUT_OF_RANGE),
        (b'{"rating":3,"unique_id":7}', Reason.UNIQUE_ID_NOT_A_STRING),
        (b'{"rating":3,"unique_id":""}', Reason.UNIQUE_ID_EMPTY),
        (b'{"rating":3,"unique_id":"\\ud800"}', Reason.NOT_JSON),
        (b"[" * 5000, Reason.NOT_JSON),
        (b"text " * 180_000, Reason.NOT_JSON),
    ],
)
def test_each_bad_record_has_its_reason_and_its_neighbours_live(
    value: bytes | None, reason: Reason
) -> None:
    batch = read(keyed([GOOD, value, GOOD]))
    assert [(reject.place, reject.fault.reason) for reject in batch.rejects] == [(1, reason)]
    assert list(batch.keys) == [b"0", b"2"]


@given(strategies.unique_ids.filter(lambda text: len(text) > 3), strategies.json_values)
def test_a_reason_never_quotes_the_record(secret: str, rating: object) -> None:
    parsed = parse(strategies.dumps({"rating": rating, "unique_id": [f"<{secret}>"]}))
    assert isinstance(parsed, Fault)
    assert f"<{secret}>" not in parsed.message
