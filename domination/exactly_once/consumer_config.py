"""How the consumer of a member reads: librdkafka's properties, where its owner gives no others."""

from __future__ import annotations

from typing import Final

from domination.exactly_once.oversized import LIMIT

CONFIG: Final = {
    "auto.offset.reset": "error",
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "isolation.level": "read_committed",
    # The default sleeps a second whenever the queue is full.
    "fetch.queue.backoff.ms": 10,
    # The answer to any other question waits behind a fetch: a broker that has nothing says so soon.
    "fetch.wait.max.ms": 200,
    # Enough to read ahead, little enough to keep the memory flat over any backlog.
    "queued.min.messages": 20_000,
    "queued.max.messages.kbytes": 16_384,
    # A connection that has died without a word is noticed after so long. `link.py` gives a slow one
    # more, and smaller answers.
    "socket.timeout.ms": 10_000,
    # An answer brings up to a megabyte of each partition, compressed: of all together no more.
    "fetch.max.bytes": 4_000_000,
    # Kafka bounds the compressed size of a batch. The client finds room for what zstd makes of it
    # by trying sizes, each three times the last: a batch of a third of this fits for sure, one of
    # more than this is laid aside unread. Nor is an answer larger, so no record can be.
    LIMIT: 67_108_864,
}
CLASSIC: Final = {
    "partition.assignment.strategy": "cooperative-sticky",
    "session.timeout.ms": 10_000,
    "heartbeat.interval.ms": 1_000,
}
"""What the broker decides where group.protocol is consumer."""
