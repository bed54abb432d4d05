"""The consuming end of a session: a member of the consumer group, static where that helps."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import (
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from domination import broker
from domination.errors import DominationError, Exit
from domination.log import librdkafka
from domination.patience import within
from domination.transaction import Position

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Hashable, Mapping

    from domination.settings import Settings

BATCH_RECORDS: Final = 3000
"""Most records of one poll: with fewer each costs more, with more the cache is missed."""
_BATCH_BYTES: Final = 4_000_000
"""A poll takes fewer where records are so large that they come to more than about so much."""
_FEWEST: Final = 10
_SAMPLED: Final = 50

_COMMIT: Final = True
_ABORT: Final = False
_FIRST_SECONDS: Final = 5.0
_SEEK_SECONDS: Final = 0.001
_NO_PARTITION: Final = 2**31 - 1
"""Nobody has it: no transaction holds its offset back."""
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
    # An answer brings up to a megabyte of each partition, compressed: of all together no more.
    "fetch.max.bytes": 4_000_000,
    # Also the most that zstd may grow to: a batch of more, which Kafka takes since it looks at the
    # compressed size, would be fetched again for ever. No record can be larger than this.
    "receive.message.max.bytes": 2_147_483_647,
}
# What the broker decides where group.protocol is consumer.
_CLASSIC: Final = {
    "partition.assignment.strategy": "cooperative-sticky",
    "session.timeout.ms": 10_000,
    "heartbeat.interval.ms": 1_000,
}


def _behind(message: Any) -> Position:
    epoch = message.leader_epoch()
    return Position(message.offset() + 1, -1 if epoch is None else epoch)


def _place(place: TopicPartition) -> Position:
    epoch: int | None = place.leader_epoch
    return Position(place.offset, -1 if epoch is None else epoch)


def _nothing(_commit: bool) -> None:  # noqa: FBT001 - in place of `changes`
    """Do nothing: a consumer that closes has no say in the session any more."""


class EvictedError(Exception):
    """The group takes this member for another one; the consumer is of no more use."""


class NotYetToldError(Exception):
    """The group takes this member for a new one and has not told yet what it reads."""


class Reader:
    """Reads the input topic as one member of the group.

    `changes` is called before partitions come or go, on the thread that polls, with whether they
    may still be committed. What the group grants is read from the next `rewind` on.
    """

    def __init__(
        self,
        settings: Settings,
        instance: str,
        changes: Callable[[bool], None],
        log: logging.Logger,
    ) -> None:
        config = broker.client_config(settings, CONFIG) | {
            "group.id": settings.group,
            # The end of a partition tells of markers behind its last record.
            "enable.partition.eof": True,
            "error_cb": self._note,
        }
        self._settings = settings
        self._changes = changes
        self._log = log
        self._failures: list[Exception] = []
        self._granted: set[int] = set()
        self._places: dict[int, int] = {}
        """The offset of the next record of each partition to hand on."""
        self._unled: dict[int, Position] = {}
        """Positions to commit that no record leads to: first offsets, and ends behind markers."""
        self.wanted = BATCH_RECORDS
        """Most records of the next poll."""
        self._told: str | None = None
        """The member id at the last callback: what is granted was granted to it."""
        self._started = False
        """Whether it is known that the group has offsets, or may start without."""
        self.member = False
        """Whether the group has told what this member reads, be it nothing."""
        self._topic = settings.input_topic
        self._static = config.get("group.protocol", "classic") == "classic"
        # The consumer protocol refuses a static member's name until the session of its last life
        # has timed out: a worker that is killed and started again would end with that each time.
        if self._static:
            config = _CLASSIC | config | {"group.instance.id": instance}
        self._cooperative = "cooperative" in config.get(
            "partition.assignment.strategy", "cooperative"
        )
        with broker.told(settings, "reading the settings"):
            self._consumer = Consumer(config, logger=librdkafka)

    def subscribe(self) -> None:
        """Join the group."""
        self._told = self._consumer.memberid()
        self._consumer.subscribe(
            [self._topic], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost
        )

    def poll(
        self, wait: float, most: int = BATCH_RECORDS
    ) -> tuple[list[Message], dict[int, Position]]:
        """Take at most so many records, waiting up to `wait` seconds for the first.

        Gives the records, and where each of their partitions is to be read on. Runs `changes` where
        the group asks for it and raises what it raised; raises errors that have an exit code, and
        `EvictedError`.
        """
        try:
            first = self._consumer.poll(wait)
            more = [] if first is None else self._consumer.consume(most - 1, 0)
        except KafkaException as exception:
            raise EvictedError(exception.args[0].str()) from exception
        messages = [] if first is None else [first, *more]
        ends: list[Message] = []
        if any(map(Message.error, messages)):
            ends = [message for message in messages if self._is_end(message)]
            messages = [message for message in messages if message.error() is None]
        if self._failures:
            raise self._failures.pop(0)
        self._fit(messages)
        # A partition's records come in order, so its last one stays in the dictionary.
        last: dict[Any, Any] = dict(zip(map(Message.partition, messages), messages, strict=True))
        positions = {partition: _behind(message) for partition, message in last.items()}
        self._places |= {partition: position.offset for partition, position in positions.items()}
        for end in ends:
            self._pass_markers(end.partition() or 0, end.offset() or 0)
        return messages, positions

    def _is_end(self, message: Message) -> bool:
        """Tell the end of a partition from a record; raises what any other error means."""
        error = message.error()
        if error is None or error.code() == KafkaError._PARTITION_EOF:
            return error is not None
        self._refuse(error, message)
        return False

    def _fit(self, messages: list[Message]) -> None:
        """Want so many records next as the size of these allows."""
        sizes = list(map(len, messages[::_SAMPLED]))
        if total := sum(sizes):
            fitting = len(sizes) * _BATCH_BYTES // total
            self.wanted = max(_FEWEST, min(fitting, BATCH_RECORDS))

    def _pass_markers(self, partition: int, end: int) -> None:
        """Note an end that lies behind the last record, where only markers are in between."""
        if partition in self._granted and end > self._places.get(partition, end):
            self._places[partition] = end
            self._unled[partition] = Position(end)

    def take_unled(self) -> dict[int, Position]:
        """Give the positions to commit that no record leads to, each once."""
        unled, self._unled = self._unled, {}
        return {
            partition: position
            for partition, position in unled.items()
            if position.offset == self._places[partition]
        }

    def rewind(self, timeout: float, *, again: bool = False) -> Hashable:
        """Read on from the committed offsets; from the first where there is none.

        With `again` `take_unled` gives all of them, to be committed once more. Gives the membership
        under which they were asked for; raises `NotYetToldError`.
        """
        # Before they are asked for: what is committed later may be another member's work.
        _, membership = self.membership()
        # librdkafka may be a member again, under another id, before it tells the loss of what it
        # had. A member id never comes back, so the one before was the same.
        if self._consumer.memberid() != self._told:
            raise NotYetToldError
        places = self._find_places(timeout)
        self._places = {place.partition: place.offset for place in places}
        if again:
            self._unled = {place.partition: _place(place) for place in places}
        if self._cooperative:
            assigned = self._assignment()
            self._consumer.incremental_assign([p for p in places if p.partition not in assigned])
        else:
            self._consumer.assign(places)
        deadline = time.monotonic() + timeout
        for place in places:
            self._seek(place, deadline)
        return membership

    def _seek(self, place: TopicPartition, deadline: float) -> None:
        """Read on from a place, also one just assigned.

        Only a seek, not an assignment, compares the leader epoch of a place with the log.
        """
        while True:
            try:
                self._consumer.seek(place)
            except KafkaException as exception:  # noqa: PERF203 - a few partitions
                # It takes a moment until an assigned partition is fetched.
                if exception.args[0].code() != KafkaError._STATE or time.monotonic() > deadline:
                    raise
                time.sleep(_SEEK_SECONDS)
            else:
                return

    def membership(self) -> tuple[bytes, Hashable]:
        """Give the group's metadata, and a value that stays the same while we are this member.

        In the classic protocol that is the member id: who is thought gone gets another one. In the
        consumer protocol the client chooses its id for good, and only the epoch in the metadata,
        which rises with any change of the group, tells.
        """
        metadata = self._consumer.consumer_group_metadata()
        # Asked after it: an id that is the old one still was the old one then.
        return metadata, self._consumer.memberid() if self._static else metadata

    def as_offsets(self, positions: Mapping[int, Position]) -> list[TopicPartition]:
        """Give positions as a transaction wants them."""
        return [
            TopicPartition(self._topic, partition, offset, leader_epoch=leader_epoch)
            for partition, (offset, leader_epoch) in positions.items()
        ]

    def behind(self) -> dict[int, int]:
        """Count the records of each partition that are not read yet, as of the last fetch."""
        lag = {}
        for partition in self._granted & self._places.keys():
            place = TopicPartition(self._topic, partition)
            _, end = self._consumer.get_watermark_offsets(place, cached=True)
            if end >= 0:
                lag[partition] = max(0, end - self._places[partition])
        return lag

    def answers(self, timeout: float) -> bool:
        """Ask the broker for a sign of life."""
        try:
            self._consumer.list_topics(self._topic, timeout=timeout)
        except KafkaException:
            return False
        return True

    @property
    def has_partitions(self) -> bool:
        """Whether others would get any if this member left."""
        return bool(self._granted)

    def is_heard(self, timeout: float) -> bool:
        """Ask the group's coordinator for a sign of life."""
        try:
            self._consumer.committed([TopicPartition(self._topic, _NO_PARTITION)], timeout=timeout)
        except KafkaException:
            return False
        return True

    def leave(self, timeout: float) -> None:
        """Leave the group and close.

        A static member that only closes keeps its partitions until its session times out. One
        that unsubscribes gives them up at once, and has left when it has no member id any more;
        but while it is still joining it has no member id yet, and nothing to leave with.
        """
        deadline = time.monotonic() + timeout
        with suppress(KafkaException):  # Evicted: it is no member any more.
            while self._static and not self._is_member() and time.monotonic() < deadline:
                self._consumer.poll(0.01)
            self._consumer.unsubscribe()
            while self._is_member() and time.monotonic() < deadline:
                self._consumer.poll(0.01)
        self.close(timeout)

    def close(self, timeout: float) -> None:
        """Close without leaving the group; one that takes longer is left to end with the process.

        Without its broker, or evicted, librdkafka may never finish closing a consumer.
        """
        self._changes = _nothing
        with suppress(TimeoutError):
            within(timeout, self._consumer.close)

    def _is_member(self) -> bool:
        return bool(self._granted) or (self._static and self._consumer.memberid() is not None)

    def _assignment(self) -> set[int]:
        return {each.partition for each in self._consumer.assignment()}

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        # Nothing is read before the rewind that every change leads to: what holds the committed
        # offsets back may be our own transaction, and that is settled first.
        self._guard(_COMMIT)
        granted = {each.partition for each in partitions}
        if self._cooperative:
            self._granted |= granted
            consumer.incremental_assign([])
        else:
            # The whole of it: of what was granted before there may have been no revocation.
            self._granted = granted
            consumer.assign([])
        self.member = True
        self._told = consumer.memberid()
        self._tell("assigned", partitions)

    def _revoked(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._guard(_COMMIT)
        self._give_up(consumer, partitions)
        self._told = consumer.memberid()
        self._tell("revoked", partitions)

    def _lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._guard(_ABORT)
        self.member = False
        self._give_up(consumer, partitions)
        self._told = consumer.memberid()
        self._tell("lost", partitions)

    def _give_up(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        gone = {each.partition for each in partitions}
        self._granted -= gone
        self._unled = {number: at for number, at in self._unled.items() if number not in gone}
        if self._cooperative:
            assigned = self._assignment()
            consumer.incremental_unassign([p for p in partitions if p.partition in assigned])
        else:
            consumer.unassign()

    def _find_places(self, timeout: float) -> list[TopicPartition]:
        """Find the offsets to read on from, as numbers.

        Never a logical offset (beginning, end): when librdkafka is told to go elsewhere while it
        looks one up, it goes there and half a second later to what it had looked up. The broker
        tells the committed offsets only once no transaction holds them back.
        """
        granted = [TopicPartition(self._topic, number) for number in sorted(self._granted)]
        if not granted:
            return []
        places = self._consumer.committed(granted, timeout=timeout)
        for place in places:
            if place.error:
                raise KafkaException(place.error)
        new = [place for place in places if place.offset < 0]
        if new:
            # Over a connection of its own: on the consumer's the answer waits behind a fetch.
            admin = broker.Admin(self._settings, _FIRST_SECONDS)
            fresh = self._require_first_start(admin, timeout)
            first = admin.first_offsets(new)
            if not fresh:
                numbers = sorted(place.partition for place in new)
                self._log.info("no offset committed for %s %s: read in full", self._topic, numbers)
            for place in new:
                place.offset = first[place.partition]
        self._unled = {place.partition: Position(place.offset) for place in new}
        return places

    def _require_first_start(self, admin: broker.Admin, timeout: float) -> bool:
        """Tell whether nothing has ever been written.

        Ends with 78 where the group has lost all its offsets, instead of judging all again. A group
        commits first offsets before it writes its first record. So the topics are asked before the
        group: what is written by then has offsets.
        """
        if self._started:
            return False
        fresh = not admin.ever_written(self._settings.topics[1:])
        if not fresh:
            count = admin.partitions({self._topic: "READ"})[self._topic]
            every = [TopicPartition(self._topic, number) for number in range(count)]
            if all(place.offset < 0 for place in self._consumer.committed(every, timeout=timeout)):
                raise broker.lost_offsets(self._settings)
        self._started = True
        return fresh

    def _guard(self, commit: bool) -> None:  # noqa: FBT001 - as `changes`
        # An exception would leave librdkafka's call with messages half taken.
        try:
            self._changes(commit)
        except Exception as error:  # noqa: BLE001 - raised again by poll
            self._failures.append(error)

    def _tell(self, what: str, partitions: list[TopicPartition]) -> None:
        numbers = sorted(partition.partition for partition in partitions)
        self._log.info("%s %s %s", what, self._topic, numbers or "nothing")

    def _note(self, error: KafkaError) -> None:
        """Hear of an error of the client as a whole, on the thread that polls."""
        end = broker.expected(self._settings, error, f"reading {self._topic}")
        if end and end.exit_code is not Exit.SETTING:
            self._failures.append(end)

    def _refuse(self, error: KafkaError, message: Message) -> None:
        if error.code() == KafkaError._FATAL:
            raise EvictedError(error.str())
        if error.code() == KafkaError._AUTO_OFFSET_RESET:
            place = f"{message.topic()} [{message.partition()}] at offset {message.offset()}"
            raise DominationError(
                Exit.SETTING,
                f"the next record of {place} is gone (retention, a log that was cut back, or a "
                "topic made again); choose where to go on with kafka-consumer-groups "
                "--reset-offsets",
            )
        if end := broker.expected(self._settings, error, f"reading {self._topic}"):
            raise end
        self._log.warning("reading %s: %s", self._topic, error.str())
