"""The consuming end of a session: polls one topic as a member of a consumer group."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from domination.exactly_once.consumer_config import is_static, of_member
from domination.exactly_once.errors import GoneError
from domination.exactly_once.fetched import Fetched
from domination.exactly_once.membership import Membership
from domination.exactly_once.offsets import Offsets
from domination.exactly_once.oversized import LIMIT, Oversized, require_answers
from domination.exactly_once.ports import CallError, EvictedError, NotYetToldError, Place
from domination.exactly_once.rule import Position
from domination.exactly_once.same_topic import Proof
from domination.kafka import faults
from domination.kafka.deadline import within

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Hashable, Mapping

    from domination.exactly_once.batch import Records
    from domination.exactly_once.link import Link
    from domination.exactly_once.ports import Change
    from domination.exactly_once.starts import Starts
    from domination.exactly_once.subscription import Subscription
    from domination.kafka.client import Connection

BATCH_RECORDS: Final = 3000
"""Most records of one poll: with fewer each costs more, with more the cache is missed."""
_BATCH_BYTES: Final = 4_000_000
"""A poll takes fewer where records are so large that they come to more than about so much."""
_MOST_BYTES: Final = 16_000_000
"""Nor does a poll take more where its first record is far larger than those before."""
_SAMPLED: Final = 50
_SEEK_SECONDS: Final = 0.001
_QUIET_SECONDS: Final = 2.0
"""Within it comes what was fetched before an answer that is too large, or after a seek."""
_NO_PARTITION: Final = 2**31 - 1
"""Nobody has it: no transaction holds its offset back."""


class KafkaReader:
    """Reads one topic as one member of the group. A `Reader` of `ports.py`.

    `changes` is called before partitions come or go, on the thread that polls. What the group
    grants is read from the next `rewind` on.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - as many as its worker's members share
        self,
        connection: Connection,
        subscription: Subscription,
        changes: Callable[[Change], None],
        link: Link,
        starts: Starts,
        log: logging.Logger,
    ) -> None:
        self._topic = subscription.topic
        self._rights = subscription.rights
        self._log = log
        self._failures: list[Exception] = []
        self._offsets = Offsets()
        self._begun: set[int] = set()
        """The partitions of the last line that says where it begins."""
        self._too_large: KafkaError | None = None
        """What the client has said of an answer that it does not take."""
        self._quiet_since = 0.0
        """Since when nothing has come although it has said so."""
        self.wanted = BATCH_RECORDS
        """Most records of the next poll."""
        merged = of_member(connection, subscription.group, subscription.instance)
        config = link.config({**merged, "error_cb": self._note})
        self._oversized = Oversized(connection, subscription.topic, subscription.group, config)
        with connection.making():
            self._consumer = Consumer(config, logger=link)
        strategy = config.get("partition.assignment.strategy", "cooperative")
        self._membership = Membership(
            self._consumer,
            self._topic,
            changes,
            log,
            static=is_static(connection),
            cooperative="cooperative" in strategy,
        )
        self._starts = starts

    @property
    def member(self) -> bool:
        """Whether the group has told what this member reads, be it nothing."""
        return self._membership.member

    def subscribe(self) -> None:
        """Join the group."""
        self._membership.join()

    def poll(
        self, wait: float, most: int = BATCH_RECORDS
    ) -> tuple[Records | None, dict[int, Position]]:
        """Take at most so many records, waiting up to `wait` seconds for the first.

        Gives the records, and where each of their partitions is to be read on. Runs `changes` where
        the group asks for it and raises what it raised; raises a `FaultError` or `EvictedError`.
        """
        if self._oversized.waits:
            return self._lay_aside(most)
        messages = self._take(wait, most)
        ends: list[Message] = []
        if any(map(Message.error, messages)):
            ends = [message for message in messages if self._is_end(message)]
            messages = [message for message in messages if message.error() is None]
        for failures in (self._membership.failures, self._failures):
            if failures:
                raise failures.pop(0)
        if self._too_large:
            self._require_answers(self._too_large, anything=bool(messages))
        self._fit(messages)
        # A partition's records come in order, so its last one stays in the dictionary.
        last: dict[Any, Any] = dict(zip(map(Message.partition, messages), messages, strict=True))
        positions = {partition: _behind(message) for partition, message in last.items()}
        self._offsets.advance(positions)
        for end in ends:
            granted = self._membership.granted
            self._offsets.end(end.partition() or 0, end.offset() or 0, granted)
        return Fetched(self._topic, messages) if messages else None, positions

    def _require_answers(self, error: KafkaError, *, anything: bool) -> None:
        """Raise `SettingError` once an answer that is too large is all that is left to come."""
        now = time.monotonic()
        if anything or not self._offsets.settled:
            self._quiet_since = now
        elif now - self._quiet_since >= _QUIET_SECONDS:
            require_answers(self._topic, self.places(), error)

    def _take(self, wait: float, most: int) -> list[Message]:
        try:
            first = self._consumer.poll(wait)
            if first is None:
                return []
            fitting = max(1, _MOST_BYTES // max(1, len(first)))
            return [first, *self._consumer.consume(min(most, fitting) - 1, 0)]
        except KafkaException as exception:
            raise EvictedError(exception.args[0].str()) from exception

    def _is_end(self, message: Message) -> bool:
        """Tell the end of a partition from a record; raises what any other error means."""
        error = message.error()
        if error is None or error.code() == KafkaError._PARTITION_EOF:
            return error is not None
        if not self._oversized.note(error, message):
            self._refuse(error, message)
        return False

    def _lay_aside(self, most: int) -> tuple[Records | None, dict[int, Position]]:
        """Give the next records of an oversized batch, unread; the client goes on behind them.

        Where it goes on within the batch, it tells of the batch again.
        """
        found = self._oversized.take(self._offsets.next, most)
        if found is None:
            return None, {}
        partition, end = found.partition, found.offsets[-1] + 1
        try:
            self._seek(TopicPartition(self._topic, partition, end), time.monotonic())
        except KafkaException:
            return None, {}  # The client tells of it again.
        positions = {partition: Position(end)}
        self._offsets.advance(positions)
        self._log.warning("%s", found)
        return found, positions

    def _fit(self, messages: list[Message]) -> None:
        """Want so many records next as the size of these allows."""
        sizes = list(map(len, messages[::_SAMPLED]))
        if total := sum(sizes):
            fitting = len(sizes) * _BATCH_BYTES // total
            self.wanted = max(1, min(fitting, BATCH_RECORDS))

    def take_unled(self) -> dict[int, Position]:
        """Give the positions to commit that no record leads to, each once."""
        return self._offsets.take_unled(self._membership.granted)

    @property
    def at_end(self) -> bool:
        """Whether all there is has been read; a member without partitions has nothing to read."""
        granted = self._membership.granted
        return self._membership.member and self._offsets.at_end(granted)

    def rewind(self, timeout: float, *, again: bool = False) -> Hashable:
        """Read on from the committed offsets; from the first where there is none.

        With `again` `take_unled` gives all of them, to be committed once more. Gives the membership
        under which they were asked for. Raises `NotYetToldError`, `CallError` or a `FaultError`.
        """
        # Before they are asked for: what is committed later may be another member's work.
        _, membership = self._membership.current()
        if not self._membership.told:
            raise NotYetToldError
        try:
            self._go(timeout, again=again)
        except KafkaException as exception:
            error, doing = exception.args[0], "waiting for the committed offsets"
            fault = faults.refusal(error, doing, self._rights)
            raise CallError(f"{doing}: {error.str()}", fault=fault) from exception
        return membership

    def _go(self, timeout: float, *, again: bool) -> None:
        granted = self._membership.granted
        places, new = self._starts.find(self._consumer, granted, timeout)
        self._offsets.rewind(
            {place.partition: place.offset for place in places},
            {place.partition: _at(place) for place in places if again or place.partition in new},
        )
        self._oversized.forget()
        self._too_large = None
        self._tell(granted)
        self._membership.read_from(places)
        deadline = time.monotonic() + timeout
        for place in places:
            self._seek(place, deadline)

    def _tell(self, granted: set[int]) -> None:
        """Log where it begins to read what the group has granted, before it fetches there.

        What it fetches may have the process killed for memory, and no later line be written.
        """
        if granted and granted != self._begun:
            begins = [f"[{n}] at offset {at}" for n, at in self.reading.items()]
            self._log.info("reads %s from %s", self._topic, ", ".join(begins))
        self._begun = set(granted)

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

    def membership(self) -> tuple[Proof, Hashable]:
        """Give what a commit has to show, and a value that stays while this is the same member."""
        member, membership = self._membership.current()
        return Proof(member, self._starts.same.note), membership

    def committed(self, positions: Mapping[int, Position]) -> None:
        """Note offsets that are the group's now."""
        self._starts.committed(self._offsets.commit(positions))

    def places(self) -> dict[int, Place]:
        """Give where it is in each partition, of those granted whose place is known."""
        known = self._membership.granted & self._offsets.committed.keys()
        return {number: self._place(number) for number in known}

    def _place(self, number: int) -> Place:
        offsets = self._offsets
        partition = TopicPartition(self._topic, number)
        _, end = self._consumer.get_watermark_offsets(partition, cached=True)
        committed, timestamp = offsets.committed[number], offsets.timestamps.get(number, -1)
        return Place(committed, offsets.next.get(number, committed), end, timestamp)

    @property
    def reading(self) -> dict[int, int]:
        """The offset of the next record of each partition; asks the client for nothing.

        The client's answer may wait until a poll of another thread is over.
        """
        return self._offsets.following(self._membership.granted)

    @property
    def has_partitions(self) -> bool:
        """Whether others would get any if this member left."""
        return bool(self._membership.granted)

    def is_heard(self, timeout: float) -> bool:
        """Ask the group's coordinator for a sign of life."""
        try:
            self._consumer.committed([TopicPartition(self._topic, _NO_PARTITION)], timeout=timeout)
        except KafkaException:
            return False
        return True

    def leave(self, timeout: float) -> None:
        """Leave the group and close."""
        self._membership.leave(timeout)
        self.close(timeout)

    def close(self, timeout: float) -> None:
        """Close without leaving the group; one that takes longer is left to end with the process.

        Without its broker, or evicted, librdkafka may never finish closing a consumer.
        """
        self._membership.forget()
        with suppress(TimeoutError):
            within(timeout, self._consumer.close)

    def _note(self, error: KafkaError) -> None:
        """Hear of an error of the client as a whole, on the thread that polls."""
        if refused := faults.refusal(error, f"reading {self._topic}", self._rights):
            self._failures.append(refused)
        if LIMIT in error.str() and self._too_large is None:
            self._too_large, self._quiet_since = error, time.monotonic()

    def _refuse(self, error: KafkaError, message: Message) -> None:
        if error.code() == KafkaError._FATAL:
            raise EvictedError(error.str())
        if error.code() == KafkaError._AUTO_OFFSET_RESET:
            place = f"{message.topic()} [{message.partition()}] at offset {message.offset()}"
            raise GoneError(
                f"the next record of {place} is gone (retention, a log that was cut back, or a "
                "topic that was created again)"
            )
        if fault := faults.fault(error, f"reading {self._topic}", self._rights):
            raise fault
        self._log.warning("reading %s: %s", self._topic, error.str())


def _at(place: TopicPartition) -> Position:
    epoch: int | None = place.leader_epoch
    return Position(place.offset, -1 if epoch is None else epoch)


def _behind(message: Any) -> Position:
    epoch = message.leader_epoch()
    _, timestamp = message.timestamp()
    return Position(message.offset() + 1, -1 if epoch is None else epoch, timestamp)
