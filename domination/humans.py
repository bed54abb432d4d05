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
from domination.ratings import Rating

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from domination.settings import Settings

RATINGS: Final = range(101)
_BATCH: Final = 1000
_TICK_SECONDS: Final = 0.01


def human_ratings(seed: int | None = None, ratings: range = RATINGS) -> Iterator[Rating]:
    """Rate humans without end; one seed, the same humans. Unique ids are UUIDs, version 4."""
    chance = random.Random(seed)  # noqa: S311 - nothing depends on its secrecy
    while True:
        yield Rating(chance.choice(ratings), str(UUID(int=chance.getrandbits(128), version=4)))


def encode(human: Rating) -> bytes:
    """Write a rating as the input topic holds it."""
    return orjson.dumps({"rating": human.rating, "unique_id": human.unique_id})


def encoded(
    humans: Iterable[Rating], bad: float = 0.0, seed: int | None = None
) -> Iterator[tuple[str, bytes]]:
    """Give each human's key and value; a share of `bad`, from 0 to 1, is broken in some way."""
    chance = random.Random(seed)  # noqa: S311 - nothing depends on its secrecy
    for human in humans:
        write = chance.choice(_BREAKS) if chance.random() < bad else encode
        yield human.unique_id, write(human)


_BREAKS: Final[tuple[Callable[[Rating], bytes], ...]] = (
    lambda human: encode(human)[:-9],
    lambda human: human.unique_id.encode(),
    lambda human: orjson.dumps({"unique_id": human.unique_id}),
    lambda human: orjson.dumps({"rating": human.rating}),
    lambda human: orjson.dumps({"rating": str(human.rating), "unique_id": human.unique_id}),
    lambda human: orjson.dumps({"rating": human.rating + 0.5, "unique_id": human.unique_id}),
)


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
        records: Iterator[tuple[str, bytes]],
        rate: float | None = None,
        going: Callable[[], bool] = lambda: True,
        clock: Callable[[], float] = time.monotonic,
    ) -> Iterator[int]:
        """Send keys and values, `rate` a second or as fast as they go; yield how many at a time.

        Ends with the records, or once `going` says no. `finish` comes after it.
        """
        started, sent = clock(), 0
        while going() and not self.failed:
            room = _BATCH if rate is None else min(int((clock() - started) * rate) - sent, _BATCH)
            batch = list(islice(records, max(room, 0)))
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
            right = f"WRITE on topic {self._settings.input_topic}"
            raise broker.expected(
                self._settings, self._error, f"sending ({message})", right
            ) or DominationError(Exit.UNAVAILABLE, f"{message}: {self._error.str()}")

    def _send(self, records: list[tuple[str, bytes]]) -> None:
        batch: list[dict[str, Any]] = [{"key": key, "value": value} for key, value in records]
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
