"""What a group has committed, as coordinators tell it that are not ready yet."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, cast

import pytest
from confluent_kafka import KafkaError, KafkaException

from domination.kafka.faults import UnavailableError
from domination.kafka.group import Group

if TYPE_CHECKING:
    from confluent_kafka import TopicPartition

    from domination.kafka.client import Connection


class Unready:
    """A connection, and its consumer, to a coordinator that says so often that it is not ready."""

    def __init__(self, error: int, times: int) -> None:
        self._error = error
        self._left = times

    def consumer(self, *_: object) -> Any:
        return self

    def committed(self, places: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        assert timeout > 0
        if self._left:
            self._left -= 1
            raise KafkaException(KafkaError(self._error))
        for place in places:
            place.offset = 7
        return places

    def asking(self, *_: object) -> Any:
        return nullcontext()

    def consume(self, *_: object) -> list[object]:
        return []

    def close(self) -> None:
        pass


def group(unready: Unready, timeout: float) -> Group:
    return Group(cast("Connection", unready), "group", timeout)


@pytest.mark.parametrize(
    "error",
    [
        KafkaError.NOT_COORDINATOR,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    ],
)
def test_a_coordinator_that_is_not_ready_is_asked_again(error: int) -> None:
    assert group(Unready(error, 2), 300).committed("in", [0]) == {0: 7}


@pytest.mark.parametrize(
    ("error", "seconds"), [(KafkaError.NOT_COORDINATOR, 0), (KafkaError._TIMED_OUT, 300)]
)
def test_one_that_is_not_ready_in_time_or_does_not_answer_is_not_asked_again(
    error: int, seconds: float
) -> None:
    nowhere: Any = None  # Who has no answer does not ask the cluster.
    with pytest.raises(UnavailableError, match="looking at group group"):
        group(Unready(error, 1), seconds).lags(nowhere, "in", 1)
