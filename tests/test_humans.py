"""HumanRatings."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from domination.humans import RATINGS, HumanProducer, encoded, human_ratings
from domination.ratings import Rating
from domination.settings import Settings

if TYPE_CHECKING:
    from pipeline import Pipeline


@given(st.integers(), st.integers(0, 50))
def test_a_seed_gives_the_same_humans_again(seed: int, count: int) -> None:
    first, second = (list(islice(human_ratings(seed), count)) for _ in range(2))
    assert first == second


@given(st.integers())
def test_ratings_are_0_to_100_and_ids_are_uuids_of_version_4(seed: int) -> None:
    for human in islice(human_ratings(seed), 20):
        assert human.rating in RATINGS
        assert UUID(human.unique_id).version == 4


def test_every_human_arrives_in_order_and_confirmed(pipeline: Pipeline) -> None:
    pipeline.create(partitions=1)
    producer = HumanProducer(
        Settings(bootstrap_servers=pipeline.bootstrap_servers, input_topic=pipeline.input)
    )
    sent = sum(producer.send(encoded(islice(human_ratings(5), 2500))))
    producer.finish()
    assert (sent, producer.confirmed) == (2500, 2500)
    records = pipeline.read(pipeline.input)
    assert [Rating(**row) for row in records.values()] == list(islice(human_ratings(5), 2500))
    assert [each.key() for each in records.records] == [
        row["unique_id"].encode() for row in records.values()
    ]


def test_the_rate_is_kept_by_the_clock(pipeline: Pipeline) -> None:
    pipeline.create()
    producer = HumanProducer(
        Settings(bootstrap_servers=pipeline.bootstrap_servers, input_topic=pipeline.input)
    )
    ticks = iter(range(1000))
    sends = producer.send(encoded(human_ratings(1)), rate=30, clock=lambda: next(ticks) / 10)
    # The clock starts at 0 and says a tenth of a second more at each look: 3 ratings a look.
    assert list(islice(sends, 5)) == [3, 3, 3, 3, 3]
    producer.finish()
