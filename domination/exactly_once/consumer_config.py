"""How the consumer of a member reads: librdkafka's properties, where its owner gives no others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from domination.exactly_once.oversized import LIMIT

if TYPE_CHECKING:
    from domination.kafka.client import Connection

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


def is_static(connection: Connection) -> bool:
    """Tell whether a member has a name that it keeps.

    The consumer protocol refuses a static member's name until the session of its last life has
    timed out: a worker that is killed and started again would end with that each time.
    """
    return bool(connection.properties.get("group.protocol", "classic") == "classic")


def of_member(connection: Connection, group: str, instance: str) -> dict[str, Any]:
    """Merge the properties of the consumer of a member of a group."""
    # The end of a partition tells of markers behind its last record.
    fixed = {"group.id": group, "enable.partition.eof": True}
    if not is_static(connection):
        return connection.config(CONFIG, fixed)
    return connection.config(CONFIG | CLASSIC, fixed | {"group.instance.id": instance})
