"""HumanRatings."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from domination.exactly_once.batch import Fault
from domination.humans import RATINGS, encoded, human_ratings
from domination.kafka.client import Connection
from domination.kafka.send import Sender
from domination.produce import produce
from domination.ratings import Rating, parse
from domination.settings import Settings

if TYPE_CHECKING:
    from harness.pipeline import Pipeline


@given(st.integers(), st.integers(0, 50))
def test_a_seed_gives_the_same_humans_again(seed: int, count: int) -> None:
    first, second = (list(islice(human_ratings(seed), count)) for _ in range(2))
    assert first == second


@given(st.integers())
def test_ratings_are_0_to_100_and_ids_are_uuids_of_version_4(seed: int) -> None:
    for human in islice(human_ratings(seed), 20):
        assert human.rating in RATINGS
        assert UUID(human.unique_id).version == 4


@given(st.integers())
def test_a_share_of_one_breaks_every_record_and_a_share_of_zero_none(seed: int) -> None:
    humans = list(islice(human_ratings(seed), 20))
    assert [parse(value) for _, value in encoded(humans)] == humans
    assert all(isinstance(parse(value), Fault) for _, value in encoded(humans, 1.0, seed))


def test_every_human_arrives_in_order_and_confirmed(pipeline: Pipeline) -> None:
    pipeline.create(partitions=1)
    settings = Settings(bootstrap_servers=pipeline.bootstrap_servers, input_topic=pipeline.input)
    assert sum(produce(settings, 2500, seed=5)) == 2500
    records = pipeline.read(pipeline.input)
    assert [Rating(**row) for row in records.values()] == list(islice(human_ratings(5), 2500))
    assert [each.key() for each in records.records] == [
        row["unique_id"].encode() for row in records.values()
    ]


def test_the_rate_is_kept_by_the_clock(pipeline: Pipeline) -> None:
    pipeline.create()
    connection = Connection({"bootstrap.servers": pipeline.bootstrap_servers})
    sender = Sender(connection, pipeline.input, timeout=30)
    ticks = iter(range(1000))
    sends = sender.send(encoded(human_ratings(1)), rate=30, clock=lambda: next(ticks) / 10)
    # The clock starts at 0 and says a tenth of a second more at each look: 3 ratings a look.
    assert list(islice(sends, 5)) == [3, 3, 3, 3, 3]
    sender.finish()
    assert (sender.sent, sender.confirmed) == (15, 15)
