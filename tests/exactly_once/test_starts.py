"""Where a member begins to read, and what it does where Kafka tells offsets that cannot be."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, cast

import pytest
from confluent_kafka import TopicPartition

from domination.exactly_once.errors import MadeAgainError, WentBackError
from domination.exactly_once.same_topic import SameTopic
from domination.exactly_once.starts import Starts
from harness.topic_id import Asker

if TYPE_CHECKING:
    from confluent_kafka import Consumer

NONE = -1001
"""What the client gives for a partition without an offset."""


class Coordinator:
    """Tells the offsets that it is given, whether they are true or not."""

    def __init__(self, offsets: dict[int, int]) -> None:
        self.offsets = offsets
        self.noted = ""

    def committed(self, places: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        assert timeout > 0
        for place in places:
            place.offset = self.offsets.get(place.partition, NONE)
        return [
            TopicPartition(each.topic, each.partition, each.offset, self.noted) for each in places
        ]


def start(coordinator: Coordinator, asker: Asker | None = None) -> tuple[Starts, Consumer]:
    nowhere: Any = None  # Who has offsets does not ask the cluster.
    starts = Starts(nowhere, "group", "in", ("out",), logging.getLogger("starts"))
    starts.same = SameTopic(asker or Asker("old"), "group", "in")
    return starts, cast("Consumer", coordinator)


def test_an_offset_that_goes_back_is_not_read_from() -> None:
    coordinator = Coordinator({0: 5, 1: 7})
    starts, consumer = start(coordinator)
    places, new = starts.find(consumer, [0, 1], 1.0)
    assert ([place.offset for place in places], new) == ([5, 7], set())
    starts.committed({0: 9})
    coordinator.offsets = {0: 8, 1: 7}
    with pytest.raises(WentBackError, match=r"offset 9 of in\[0\], but Kafka now says 8"):
        starts.find(consumer, [0, 1], 1.0)
    coordinator.offsets = {0: 12, 1: 7}
    places, _ = starts.find(consumer, [0, 1], 1.0)
    assert [place.offset for place in places] == [12, 7]


def test_a_coordinator_that_has_loaded_nothing_is_found_out_by_what_it_told_before() -> None:
    coordinator = Coordinator({0: 5})
    starts, consumer = start(coordinator)
    starts.find(consumer, [0], 1.0)
    coordinator.offsets = {}
    with pytest.raises(WentBackError, match=r"offset 5 of in\[0\], but Kafka now says none"):
        starts.find(consumer, [0], 1.0)
    # Also by a member that has just been granted another partition, which may well be new.
    with pytest.raises(WentBackError, match=r"offset 5 of in\[0\], but Kafka now says none"):
        starts.find(consumer, [1], 1.0)


def test_an_offset_of_zero_that_vanishes_has_gone_back_too() -> None:
    coordinator = Coordinator({0: 0})
    starts, consumer = start(coordinator)
    starts.find(consumer, [0], 1.0)
    coordinator.offsets = {}
    with pytest.raises(WentBackError, match="says none"):
        starts.find(consumer, [0], 1.0)


def test_an_offset_of_the_topic_before_is_not_read_from() -> None:
    coordinator = Coordinator({0: 5})
    starts, consumer = start(coordinator, Asker("new"))
    coordinator.noted = "topic-id=old"
    with pytest.raises(MadeAgainError):
        starts.find(consumer, [0], 1.0)


def test_the_id_of_the_topic_is_asked_for_before_the_offsets() -> None:
    coordinator, asker = Coordinator({0: 5}), Asker("old")
    starts, consumer = start(coordinator, asker)
    starts.find(consumer, [0], 1.0)
    # Kafka deletes the offsets with their topic: those of the new one are no answer.
    coordinator.offsets, asker.topic_id = {}, "new"
    with pytest.raises(MadeAgainError):
        starts.find(consumer, [0], 1.0)
