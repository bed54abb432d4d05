"""Sending records to one topic, each delivery confirmed, at a rate or as fast as they go."""

from __future__ import annotations

import time
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from domination.kafka import faults

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from confluent_kafka import KafkaError, Message

    from domination.kafka.client import Connection

_BATCH: Final = 1000
_TICK_SECONDS: Final = 0.01
_FULL_SECONDS: Final = 0.1
_FLUSH_SECONDS: Final = 0.5


class Sender:
    """Sends keys and values to a topic with an idempotent producer.

    A record that is not delivered within `timeout` seconds is one that failed.
    """

    def __init__(self, connection: Connection, topic: str, timeout: float) -> None:
        self._connection = connection
        self._topic = topic
        self._error: KafkaError | None = None
        self.confirmed = 0
        self.failed = 0
        own = {
            "acks": "all",
            "enable.idempotence": True,
            "compression.type": "lz4",
            "linger.ms": 20,
            "message.timeout.ms": int(timeout * 1000),
            "on_delivery": self._delivered,
        }
        self._producer = connection.producer(own)

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
        """Wait until every delivery is confirmed; raises a `FaultError` where one was not."""
        while len(self._producer) and not self.failed:
            self._producer.flush(_FLUSH_SECONDS)
        if self._error:
            message = f"{self.failed or 'some'} records were not delivered"
            right = faults.Rights(f"WRITE on topic {self._topic}")
            raise faults.fault(
                self._error, f"sending ({message})", right
            ) or faults.UnavailableError(f"{message}: {self._error.str()}")

    def _send(self, records: list[tuple[str, bytes]]) -> None:
        batch: list[dict[str, Any]] = [{"key": key, "value": value} for key, value in records]
        while batch:
            self._producer.produce_batch(self._topic, batch)
            batch = [each for each in batch if each.pop("_error", None)]
            if batch:
                self._producer.poll(_FULL_SECONDS)

    def _delivered(self, error: KafkaError | None, _message: Message) -> None:
        if error is None:
            self.confirmed += 1
        else:
            self.failed += 1
            self._error = self._error or error
