"""Ratings to shadows, and shadows to bytes."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from domination.exactly_once.batch import Batch, Records
from domination.ratings import Rating
from domination.shadow import ShadowType
from domination.shadow import judge as judge_one
from domination.shadows import encode, encode_one, judge, write
from harness import strategies

NOW = datetime(2026, 11, 23, 10, 0, 0, 123_456, tzinfo=timezone.utc)

shadows = st.lists(st.tuples(st.sampled_from(ShadowType), strategies.unique_ids))
times = st.datetimes(
    datetime(1970, 1, 2),  # noqa: DTZ001 - hypothesis takes bounds without a zone
    datetime(2200, 1, 1),  # noqa: DTZ001
    timezones=st.just(timezone.utc),
)


@given(st.lists(strategies.ratings))
def test_a_batch_is_judged_as_its_records_one_by_one(ratings: list[int]) -> None:
    humans = [Rating(rating, str(index)) for index, rating in enumerate(ratings)]
    assert judge(humans) == [(judge_one(each.rating), each.unique_id) for each in humans]


@given(shadows, times)
@example([(ShadowType.SHA, each) for each in ('",', ',"', ",", '",\n  "', "x")], NOW)
def test_a_batch_is_written_as_its_shadows_one_by_one(
    people: list[tuple[ShadowType, str]], emitted: datetime
) -> None:
    assert encode(people, emitted) == [encode_one(each, emitted) for each in people]


@given(shadows, times)
def test_a_shadow_takes_its_key_headers_and_timestamp_from_its_rating(
    people: list[tuple[ShadowType, str]], emitted: datetime
) -> None:
    records = Records("dominate", [None] * len(people))
    written = write(Batch(records, people), emitted)
    assert (written.records, written.values) == (records, encode(people, emitted))
    carried = (written.keys, written.headers, written.timestamps, written.topics)
    assert carried == (None,) * 4
    assert list(written.kinds) == [shadow for shadow, _ in people]


@pytest.mark.parametrize("loads", [json.loads, orjson.loads])
@given(st.sampled_from(ShadowType), strategies.unique_ids, times)
def test_what_is_written_parses_back_to_the_same_shadow(
    loads: object, shadow: ShadowType, unique_id: str, emitted: datetime
) -> None:
    assert callable(loads)
    row = loads(encode_one((shadow, unique_id), emitted))
    assert list(row) == ["type", "unique_id", "emit_timestamp"]
    assert (row["type"], row["unique_id"]) == (shadow, unique_id)
    stamp = datetime.strptime(row["emit_timestamp"] + "+0000", "%Y-%m-%d %H:%M:%S.%f%z")
    assert timedelta(0) <= emitted - stamp < timedelta(milliseconds=1)


def test_a_shadow_is_stamped_in_utc_whatever_the_zone_of_the_clock() -> None:
    clock = NOW.astimezone(timezone(timedelta(hours=-7)))
    (value,) = encode([(ShadowType.DOW, "x")], clock)
    assert value == b'{"type":2,"unique_id":"x","emit_timestamp":"2026-11-23 10:00:00.123"}'
