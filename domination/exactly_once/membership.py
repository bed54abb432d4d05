"""A member of a consumer group: what it may read, and what Kafka calls back when that changes."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import KafkaException

from domination.exactly_once.ports import Change

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Hashable

    from confluent_kafka import Consumer, TopicPartition

_POLL_SECONDS: Final = 0.01


class Membership:
    """The membership of one consumer, static where that helps.

    `changes` is called before partitions come or go, on the thread that polls. An exception of it
    waits in `failures`, since librdkafka's call would be left with messages half taken.
    """

    def __init__(  # noqa: PLR0913 - two of them by name
        self,
        consumer: Consumer,
        topic: str,
        changes: Callable[[Change], None],
        log: logging.Logger,
        *,
        static: bool,
        cooperative: bool,
    ) -> None:
        self._consumer = consumer
        self._topic = topic
        self._changes = changes
        self._log = log
        self._static = static
        self._cooperative = cooperative
        self._closing = False
        self._told: str | None = None
        """The member id at the last callback: what is granted was granted to it."""
        self.granted: set[int] = set()
        """The partitions that the group has given to this member."""
        self.member = False
        """Whether the group has told what this member reads, be it nothing."""
        self.failures: list[Exception] = []

    def join(self) -> None:
        """Join the group."""
        self._told = self._consumer.memberid()
        self._consumer.subscribe(
            [self._topic], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost
        )

    @property
    def told(self) -> bool:
        """Whether the group has told what this member reads since it took it for a new one.

        librdkafka may be a member again, under another id, before it tells the loss of what it had.
        A member id never comes back, so the one before was the same.
        """
        return self._consumer.memberid() == self._told

    def current(self) -> tuple[Any, Hashable]:
        """Give the group's metadata, and a value that stays the same while we are this member.

        In the classic protocol that is the member id: who is thought gone gets another one. In the
        consumer protocol the client chooses its id for good, and only the epoch in the metadata,
        which rises with any change of the group, tells.
        """
        metadata = self._consumer.consumer_group_metadata()
        # Asked after it: an id that is the old one still was the old one then.
        return metadata, self._consumer.memberid() if self._static else metadata

    def read_from(self, places: list[TopicPartition]) -> None:
        """Read what is granted, from these places on."""
        if self._cooperative:
            assigned = self._assignment()
            self._consumer.incremental_assign([p for p in places if p.partition not in assigned])
        else:
            self._consumer.assign(places)

    def leave(self, timeout: float) -> None:
        """Leave the group.

        A static member that only closes keeps its partitions until its session times out. One
        that unsubscribes gives them up at once, and has left when it has no member id any more;
        but while it is still joining it has no member id yet, and nothing to leave with.
        """
        deadline = time.monotonic() + timeout
        with suppress(KafkaException):  # Evicted: it is no member any more.
            while self._static and not self._is_member() and time.monotonic() < deadline:
                self._consumer.poll(_POLL_SECONDS)
            self._consumer.unsubscribe()
            while self._is_member() and time.monotonic() < deadline:
                self._consumer.poll(_POLL_SECONDS)

    def forget(self) -> None:
        """Call nobody back any more: a consumer that closes has no say in the session.

        Nor is it asked for its member id: once it has given its partitions up it may have ended,
        and the client then waits for an answer for ever, and lets no other thread run.
        """
        self._changes = _nothing
        self._closing = True

    def _is_member(self) -> bool:
        return bool(self.granted) or (self._static and self._consumer.memberid() is not None)

    def _assignment(self) -> set[int]:
        return {each.partition for each in self._consumer.assignment()}

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        # Nothing is read before the rewind that every change leads to: what holds the committed
        # offsets back may be our own transaction, and that is settled first.
        self._call_back(Change.ORDERLY)
        granted = {each.partition for each in partitions}
        if self._cooperative:
            self.granted |= granted
            consumer.incremental_assign([])
        else:
            # The whole of it: of what was granted before there may have been no revocation.
            self.granted = granted
            consumer.assign([])
        self.member = True
        self._note("assigned", consumer, partitions)

    def _revoked(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._call_back(Change.ORDERLY)
        self._give_up(consumer, partitions)
        self._note("revoked", consumer, partitions)

    def _lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._call_back(Change.LOST)
        self.member = False
        self._give_up(consumer, partitions)
        self._note("lost", consumer, partitions)

    def _give_up(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self.granted -= {each.partition for each in partitions}
        if self._cooperative:
            assigned = self._assignment()
            consumer.incremental_unassign([p for p in partitions if p.partition in assigned])
        else:
            consumer.unassign()

    def _call_back(self, change: Change) -> None:
        try:
            self._changes(change)
        except Exception as error:  # noqa: BLE001 - raised again by poll
            self.failures.append(error)

    def _note(self, what: str, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        if self._closing:
            return
        self._told = consumer.memberid()
        numbers = sorted(partition.partition for partition in partitions)
        if numbers:
            self._log.info("%s %s %s", what, self._topic, numbers)
        elif self.granted:
            kept = sorted(self.granted)
            self._log.info("%s no more partitions of %s: it keeps %s", what, self._topic, kept)
        else:
            self._log.info("%s no partition of %s: other workers have them", what, self._topic)


def _nothing(_change: Change) -> None:
    pass
