"""Whether the topic is still the one that was read: its id is held against the first, and noted."""

from __future__ import annotations

import pytest
from confluent_kafka import TopicPartition

from domination.advice import expected
from domination.exactly_once.errors import MadeAgainError
from domination.exactly_once.rule import Position
from domination.exactly_once.same_topic import SameTopic, noted
from harness.topic_id import Asker


def same(topic_id: str = "old") -> tuple[SameTopic, Asker]:
    """Give one that has been told an id."""
    asker = Asker(topic_id)
    found = SameTopic(asker, "group", "in")
    found.require(1.0)
    return found, asker


def test_the_first_id_is_noted_with_each_offset() -> None:
    found, _ = same("old")
    (place,) = noted("in", {3: Position(7, leader_epoch=2)}, found.note)
    assert (place.partition, place.offset, place.leader_epoch) == (3, 7, 2)
    assert place.metadata == "topic-id=old"
    found.require_noted([place])


def test_a_topic_with_another_id_than_the_first_is_not_read() -> None:
    found, asker = same("old")
    found.require(1.0)
    asker.topic_id = "new"
    with pytest.raises(MadeAgainError, match="topic in was deleted and created again"):
        found.require(1.0)


def test_an_offset_of_another_topic_is_not_read_from() -> None:
    before, _ = same("old")
    after, _ = same("new")
    places = noted("in", {0: Position(0)}, before.note)
    with pytest.raises(MadeAgainError, match="what group group has committed"):
        after.require_noted(places)


@pytest.mark.parametrize("metadata", ["", "another program's", "topic-id="])
def test_offsets_that_say_nothing_of_the_topic_are_not_compared(metadata: str) -> None:
    found, _ = same()
    found.require_noted([TopicPartition("in", 0, 5, metadata=metadata)])


def test_where_kafka_gives_topics_no_id_nothing_is_noted_or_compared() -> None:
    found, asker = same("")
    (place,) = noted("in", {0: Position(7)}, found.note)
    assert not place.metadata
    found.require_noted([TopicPartition("in", 0, 5, metadata="topic-id=old")])
    asker.topic_id = "new"  # As after an upgrade of the brokers.
    found.require(1.0)
    assert found.note == "topic-id=new"


def test_an_answer_without_an_id_is_no_other_topic() -> None:
    found, asker = same("old")
    asker.topic_id = ""
    found.require(1.0)
    assert found.note == "topic-id=old"


def test_while_it_runs_it_asks_now_and_then_and_never_before_it_was_told_an_id() -> None:
    asker = Asker("old")
    found = SameTopic(asker, "group", "in")
    found.look(0.0)
    assert asker.asked == 0
    found.require(1.0)
    for second in range(12):
        found.look(float(second))
    assert asker.asked == 3
    asker.topic_id = "new"
    with pytest.raises(MadeAgainError):
        found.look(12.0)


def test_a_topic_created_again_ends_a_worker_with_78_and_says_what_to_do() -> None:
    end = expected(MadeAgainError("group", "in"))
    assert end is not None
    assert end.exit_code == 78
    assert "topic in was deleted and created again" in str(end)
    assert "domination rewind --to earliest" in str(end)
