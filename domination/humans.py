"""HumanRatings: a seeded stream of humans and their ratings, and the producer that sends it."""

from __future__ import annotations

import random
import time
from itertools import islice
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import orjson
from confluent_kafka import KafkaError, Message, Producer

from domination import broker
from domination.errors import DominationError, Exit
from domination.log import librdkafka
from domination.wire import Rating

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from domination.settings import Settings

RATINGS: Final = range(101)
_BATCH: Final = 1000
_TICK_SECONDS: Final = 0.01


def human_ratings(seed: int | None = None, ratings: range = RATINGS) -> Iterator[Rating]:
    """Rate humans without end; one seed, the same humans. Unique ids are UUIDs, version 4."""
    chance = random.Random(seed)  # noqa: S311 - nothing depends on its secrecy
    while True:
        yield Rating(chance.choice(ratings), str(UUID(int=chance.getrandbits(128), version=4)))


class HumanProducer:
    """Sends ratings to the input topic, keyed by unique id; idempotent, each delivery confirmed."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._error: KafkaError | None = None
        self.confirmed = 0
        self.failed = 0
        own = {
            "acks": "all",
            "enable.idempotence": True,
            "compression.type": "lz4",
            "linger.ms": 20,
            "message.timeout.ms": int(settings.availability_timeout_seconds * 1000),
            "on_delivery": self._delivered,
        }
        with broker.told(settings, "reading the settings"):
            self._producer = Producer(broker.client_config(settings, own), logger=librdkafka)

    def send(
        self,
        humans: Iterator[Rating],
        rate: float | None = None,
        going: Callable[[], bool] = lambda: True,
        clock: Callable[[], float] = time.monotonic,
    ) -> Iterator[int]:
        """Send humans, `rate` a second or as fast as they go; yield how many each time some were.

        Ends with the humans, or once `going` says no. `finish` comes after it.
        """
        started, sent = clock(), 0
        while going() and not self.failed:
            room = _BATCH if rate is None else min(int((clock() - started) * rate) - sent, _BATCH)
            batch = list(islice(humans, max(room, 0)))
            if not batch and room > 0:
                return
            self._send(batch)
            sent += len(batch)
            self._producer.poll(0 if rate is None or room == _BATCH else _TICK_SECONDS)
            yield len(batch)

    def finish(self) -> None:
        """Wait until every delivery is confirmed; raises where one was not."""
        while len(self._producer) and not self.failed:
            self._producer.flush(0.5)
        if self._error:
            message = f"{self.failed or 'some'} ratings were not delivered"
            raise broker.expected(self._error, message) or DominationError(
                Exit.UNAVAILABLE, f"{message}: {self._error.str()}"
            )

    def _send(self, humans: list[Rating]) -> None:
        batch: list[dict[str, Any]] = [
            {"value": orjson.dumps(human._asdict()), "key": human.unique_id} for human in humans
        ]
        while batch:
            self._producer.produce_batch(self._settings.input_topic, batch)
            batch = [each for each in batch if each.pop("_error", None)]
            if batch:
                self._producer.poll(0.1)

    def _delivered(self, error: KafkaError | None, _message: Message) -> None:
        if error is None:
            self.confirmed += 1
        else:
            self.failed += 1
            self._error = self._error or error
