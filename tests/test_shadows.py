"""Ratings to shadows, and shadows to bytes."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import strategies
from domination.exactly_once.batch import Records
from domination.ratings import Ratings, read
from domination.shadow import ShadowType
from domination.shadow import judge as judge_one
from domination.shadows import Shadows, encode_one, judge, write

NOW = datetime(2026, 11, 23, 10, 0, 0, 123_456, tzinfo=timezone.utc)

shadows = st.lists(st.tuples(st.sampled_from(ShadowType), strategies.unique_ids))
times = st.datetimes(
    datetime(1970, 1, 2),  # noqa: DTZ001 - hypothesis takes bounds without a zone
    datetime(2200, 1, 1),  # noqa: DTZ001
    timezones=st.just(timezone.utc),
)


@given(strategies.batches)
def test_shadows_and_rejects_are_the_records_of_the_batch(values: list[bytes | None]) -> None:
    written = write(judge(read(Records(values, [None] * len(values), "origin"))), NOW)
    assert len(written.values) == len(written.keys)
    assert len(written.values) + len(written.rejects) == len(values)
    assert written.origin == "origin"


@given(st.lists(strategies.ratings))
def test_a_batch_is_judged_as_its_records_one_by_one(ratings: list[int]) -> None:
    ids = [str(index) for index in range(len(ratings))]
    batch = judge(Ratings(ratings, ids, [None] * len(ids), origin="origin"))
    assert batch.types == [judge_one(rating) for rating in ratings]
    assert (batch.unique_ids, batch.origin) == (ids, "origin")


@given(shadows, times)
@example([(ShadowType.SHA, each) for each in ('",', ',"', ",", '",\n  "', "x")], NOW)
def test_a_batch_is_written_as_its_shadows_one_by_one(
    people: list[tuple[ShadowType, str]], emitted: datetime
) -> None:
    batch = Shadows([s for s, _ in people], [i for _, i in people], [None] * len(people))
    written = write(batch, emitted)
    assert written.values == [encode_one(*each, emitted) for each in people]
    assert written.types == bytes(batch.types)


@pytest.mark.parametrize("loads", [json.loads, orjson.loads])
@given(st.sampled_from(ShadowType), strategies.unique_ids, times)
def test_what_is_written_parses_back_to_the_same_shadow(
    loads: object, shadow: ShadowType, unique_id: str, emitted: datetime
) -> None:
    assert callable(loads)
    row = loads(encode_one(shadow, unique_id, emitted))
    assert list(row) == ["type", "unique_id", "emit_timestamp"]
    assert (row["type"], row["unique_id"]) == (shadow, unique_id)
    stamp = datetime.strptime(row["emit_timestamp"] + "+0000", "%Y-%m-%d %H:%M:%S.%f%z")
    assert timedelta(0) <= emitted - stamp < timedelta(milliseconds=1)


def test_a_shadow_is_stamped_in_utc_whatever_the_zone_of_the_clock() -> None:
    clock = NOW.astimezone(timezone(timedelta(hours=-7)))
    (value,) = write(Shadows([ShadowType.DOW], ["x"], [None]), clock).values
    assert value == b'{"type":2,"unique_id":"x","emit_timestamp":"2026-11-23 10:00:00.123"}'
