"""A plain confluent-kafka loop, a record at a time, as its examples have it; with transactions too.

Without: offsets are committed at the same interval, once what was sent is confirmed, so it is at
least once. With `--transactions` they are committed in the transaction of their records.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from typing import Any, Final

from confluent_kafka import Consumer, Producer

import job

TRANSACTIONS: Final = "--transactions" in sys.argv
CLIENT: Final = {"bootstrap.servers": job.BROKERS}


def main() -> None:
    """Judge humans until SIGTERM."""
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    consumer = Consumer(
        CLIENT
        | {"group.id": job.GROUP, "enable.auto.commit": False, "auto.offset.reset": "earliest"}
        | {"fetch.queue.backoff.ms": 10}
    )
    own: dict[str, Any] = {"compression.type": "lz4", "linger.ms": 20, "enable.idempotence": True}
    own |= {"queue.buffering.max.messages": 200_000}
    producer = Producer(CLIENT | own | ({"transactional.id": job.GROUP} if TRANSACTIONS else {}))
    consumer.subscribe([job.RATINGS])
    if TRANSACTIONS:
        producer.init_transactions()
        producer.begin_transaction()
    committed, pending = time.monotonic(), False
    while not stopping.is_set():
        message = consumer.poll(0.1)
        if message is not None and message.error() is None:
            value = job.shadow(message.value() or b"")
            while True:
                try:
                    producer.produce(job.SHADOWS, value, message.key())
                except BufferError:  # noqa: PERF203 - the way that backpressure comes
                    producer.poll(0.01)
                else:
                    break
            producer.poll(0)
            pending = True
        if pending and time.monotonic() - committed >= job.COMMIT_SECONDS:
            if TRANSACTIONS:
                positions = consumer.position(consumer.assignment())
                producer.send_offsets_to_transaction(positions, consumer.consumer_group_metadata())
                producer.commit_transaction()
                producer.begin_transaction()
            else:
                producer.flush()
                consumer.commit(asynchronous=False)
            committed, pending = time.monotonic(), False
    if TRANSACTIONS:
        producer.abort_transaction()
    producer.flush()
    consumer.close()


if __name__ == "__main__":
    main()
