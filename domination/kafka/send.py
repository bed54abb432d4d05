"""Sending records to one topic, each delivery confirmed, at a rate or as fast as they go."""

from __future__ import annotations

import time
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import KafkaError

from domination.kafka import faults

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from confluent_kafka import Message

    from domination.kafka.client import Connection

_BATCH: Final = 1000
_TICK_SECONDS: Final = 0.01
_FULL_SECONDS: Final = 0.1
_FLUSH_SECONDS: Final = 0.5
_LATE_SECONDS: Final = 5.0
"""How much later than its time-out the client may tell of a record."""
_LONGEST_MS: Final = 2**31 - 1
_TOO_LARGE: Final = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE})


class Sender:
    """Sends keys and values to a topic with an idempotent producer.

    What is not confirmed within `timeout` seconds is unconfirmed: the topic may have it, or not.
    """

    def __init__(self, connection: Connection, topic: str, timeout: float) -> None:
        self._connection = connection
        self._topic = topic
        self._timeout = timeout
        self._rights = faults.Rights(f"WRITE on topic {topic}")
        self._error: KafkaError | None = None
        self.sent = 0
        self.confirmed = 0
        self.refused = 0
        own = {
            "acks": "all",
            "enable.idempotence": True,
            "compression.type": "lz4",
            "linger.ms": 20,
            # 0 would be without end.
            "message.timeout.ms": int(min(max(timeout * 1000, 1), _LONGEST_MS)),
            "on_delivery": self._delivered,
        }
        self._producer = connection.producer(own)

    @property
    def unconfirmed(self) -> int:
        """Count the records that the topic may have, or not."""
        return self.sent - self.confirmed - self.refused

    def send(
        self,
        records: Iterator[tuple[str, bytes]],
        rate: float | None = None,
        going: Callable[[], bool] = lambda: True,
        clock: Callable[[], float] = time.monotonic,
    ) -> Iterator[int]:
        """Send keys and values, `rate` a second or as fast as they go; yield how many at a time.

        Ends with the records, with the first that fails, or once `going` says no. `finish` comes
        after it.
        """
        started = clock()
        while going() and not self._error:
            room = (
                _BATCH if rate is None else min(int((clock() - started) * rate) - self.sent, _BATCH)
            )
            batch = list(islice(records, max(room, 0)))
            if not batch and room > 0:
                return
            self._send(batch)
            self._producer.poll(0 if rate is None or room == _BATCH else _TICK_SECONDS)
            yield len(batch)

    def finish(self) -> None:
        """Wait until it is known of every record what became of it, or that nobody knows.

        Raises a `FaultError`, with the counts, where not all are confirmed.
        """
        deadline = float("inf")
        while len(self._producer) and time.monotonic() < deadline:
            self._producer.flush(_FLUSH_SECONDS)
            if self._error and deadline == float("inf"):
                deadline = time.monotonic() + self._timeout + _LATE_SECONDS
        if self._error:
            raise self._fault(self._error, f"sending ({self._counts})") or faults.UnavailableError(
                f"{self._counts} ({self._error.str()})"
            )

    @property
    def _counts(self) -> str:
        known = (
            f"of {self.sent:,} records {self.confirmed:,} were delivered, {self.refused:,} refused"
        )
        if not self.unconfirmed:
            return known
        return (
            f"{known}; {self.unconfirmed:,} are unconfirmed: {self._topic} may or may not have them"
        )

    def _fault(self, error: KafkaError, doing: str) -> faults.FaultError | None:
        """Give what a refusal for good means; None where the topic may have the record."""
        if error.code() in _TOO_LARGE:
            return faults.UnwritableError(f"a record is too large for {self._topic}, while {doing}")
        return faults.fault(error, doing, self._rights)

    def _send(self, records: list[tuple[str, bytes]]) -> None:
        batch: list[dict[str, Any]] = [{"key": key, "value": value} for key, value in records]
        self.sent += len(batch)
        while batch:
            self._producer.produce_batch(self._topic, batch)
            errors = [(each, error) for each in batch if (error := each.pop("_error", None))]
            batch = [each for each, error in errors if error.code() == KafkaError._QUEUE_FULL]
            for _, error in errors:
                if error.code() != KafkaError._QUEUE_FULL:
                    self._failed(error, sent=False)
            if batch:
                self._producer.poll(_FULL_SECONDS)

    def _delivered(self, error: KafkaError | None, _message: Message) -> None:
        if error is None:
            self.confirmed += 1
        else:
            self._failed(error)

    def _failed(self, error: KafkaError, *, sent: bool = True) -> None:
        """Count a record that is not confirmed; a refusal is told before anything else."""
        if not sent or self._fault(error, ""):
            if not self.refused:
                self._error = error
            self.refused += 1
        self._error = self._error or error
