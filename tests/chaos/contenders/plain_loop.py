"""A loop of confluent-kafka in transactions, as librdkafka's manual and its examples have it.

Its transactional id is stable. What Kafka refuses is aborted and read again; a fatal error ends it,
and so does a call that does not return.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import Consumer, KafkaException, Producer

import job

if TYPE_CHECKING:
    from collections.abc import Callable

CLIENT: Final = {"bootstrap.servers": job.BROKERS}
READING: Final = {
    "group.id": job.GROUP,
    "session.timeout.ms": job.SESSION_SECONDS * 1000,
    "heartbeat.interval.ms": job.SESSION_SECONDS * 1000 // 4,
    "enable.auto.commit": False,
    "auto.offset.reset": "earliest",
}
WRITING: Final = {
    "transactional.id": f"{job.GROUP}-{os.environ['DOMINATION_INSTANCE']}",
    # As ours: after it a reader need not wait for a worker that was killed.
    "transaction.timeout.ms": 10_000,
}
_STUCK_SECONDS: Final = 10


class Loop:
    """Consumes, judges, produces; each transaction has the offsets of its records."""

    def __init__(self) -> None:
        self._consumer = Consumer(CLIENT | READING)
        self._producer = Producer(CLIENT | WRITING)
        self._due: float | None = None
        """When the open transaction is to be committed, if one is open."""

    def run(self, stopping: threading.Event) -> None:
        _whole(self._producer.init_transactions)
        self._consumer.subscribe(
            [job.RATINGS],
            on_revoke=lambda *_: self._commit(),
            on_lost=lambda *_: self._abort(),
        )
        while not stopping.is_set():
            # As a liveness probe does: sending offsets may hang (librdkafka's issues 5456, 5511).
            faulthandler.dump_traceback_later(_STUCK_SECONDS, exit=True)
            try:
                self._step()
            except KafkaException as exception:
                if exception.args[0].fatal():
                    raise
                print("aborting:", exception, flush=True)  # noqa: T201
                self._abort()
                self._rewind()
        self._commit()
        self._consumer.close()

    def _step(self) -> None:
        message = self._consumer.poll(0.05)
        if message is not None and message.error() is None:
            if self._due is None:
                self._producer.begin_transaction()
                self._due = time.monotonic() + job.COMMIT_SECONDS
            shadow = job.shadow(message.value() or b"")
            self._producer.produce(job.SHADOWS, shadow, message.key())
            self._producer.poll(0)
        if self._due is not None and time.monotonic() >= self._due:
            self._commit()

    def _commit(self) -> None:
        if self._due is None:
            return
        positions = self._consumer.position(self._consumer.assignment())
        member = self._consumer.consumer_group_metadata()
        _whole(self._producer.send_offsets_to_transaction, positions, member)
        _whole(self._producer.commit_transaction)
        self._due = None

    def _abort(self) -> None:
        if self._due is not None:
            _whole(self._producer.abort_transaction)
            self._due = None

    def _rewind(self) -> None:
        for place in self._consumer.committed(self._consumer.assignment(), timeout=10):
            # -2 is the beginning: nothing is committed.
            place.offset = place.offset if place.offset >= 0 else -2
            self._consumer.seek(place)


def _whole(call: Callable[..., object], *arguments: Any) -> None:
    """Make a call again as long as the client says that it may be."""
    while True:
        try:
            call(*arguments)
        except KafkaException as exception:  # noqa: PERF203 - the way that it is told
            if not exception.args[0].retriable():
                raise
        else:
            return


if __name__ == "__main__":
    end = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: end.set())
    Loop().run(end)
