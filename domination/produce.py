"""Sends HumanRatings to the input topic."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from domination import connection
from domination.humans import encoded, human_ratings
from domination.kafka.send import Sender

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from domination.settings import Settings


def produce(  # noqa: PLR0913 - what `produce` and the demo can be told
    settings: Settings,
    count: int | None = None,
    rate: float | None = None,
    seed: int | None = None,
    *,
    bad: float = 0.0,
    going: Callable[[], bool] = lambda: True,
) -> Iterator[int]:
    """Send humans, `count` of them or without end; yield how many at a time.

    Ends as well once `going` says no. Then every delivery is confirmed; raises a `FaultError` where
    one was not. The rest is as for `Sender.send` and `encoded`.
    """
    sender = Sender(
        connection.of(settings), settings.input_topic, settings.availability_timeout_seconds
    )
    records = encoded(islice(human_ratings(seed), count), bad, seed)
    yield from sender.send(records, rate, going)
    sender.finish()
