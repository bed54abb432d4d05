"""Dead letters as an operator meets them: those that are open, and sending them back.

A letter that is sent back leaves a mark beside it: a record without key or value, in the letter's
own partition, whose header says the letter's offset. Both are written in one transaction, so a
letter is open exactly as long as it has no mark, whatever order letters are chosen in, and the
topic needs nobody's offsets. Retention deletes a letter before its mark.
"""

from __future__ import annotations

import time
from collections import Counter
from contextlib import closing, contextmanager
from datetime import datetime, timezone
from itertools import islice
from typing import TYPE_CHECKING, Final

from domination import connection
from domination.errors import DominationError, Exit
from domination.exactly_once.batch import Fault
from domination.exactly_once.dead_letter import size
from domination.exactly_once.transactional import TransactionalProducer, hear, transaction
from domination.kafka.client import number
from domination.kafka.cluster import DEFAULT_SIZE_LIMIT, LARGEST_SIZE_LIMIT, Cluster
from domination.kafka.faults import FencedError, Rights
from domination.kafka.tail import Tail, at
from domination.letter import FORM, Letter, Mark, recognise
from domination.ratings import Reason, read
from domination.settings import NAME
from domination.shadows import encode, judge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from domination.kafka.tail import Message
    from domination.settings import Settings

TRUNCATED: Final = "truncated"
"""Why a letter is not sent back that is not whole."""
TOO_LARGE: Final = "too large"
"""Why a letter is not sent back that its topic does not take. Else it is its reason again."""
UNREADABLE: Final = "unreadable"
"""Why a record of others is not sent back, which is no letter."""

_BATCH: Final = 500
_START_SECONDS: Final = 30.0
_OPEN_SECONDS: Final = 30.0
"""Kafka aborts the transaction of a worker that is dead within 20."""
_LOOK_SECONDS: Final = 0.05
_FLUSH_SECONDS: Final = 0.1
_CALL_SECONDS: Final = 9.0
"""Less than the producer's own limit for a request."""


class DeadLetterTopic:
    """The dead-letter topic. Whatever Kafka refuses, or its absence, is a `FaultError`.

    `patience`: how many seconds to wait for the transactions of others that are open.
    """

    def __init__(self, settings: Settings, patience: float = _OPEN_SECONDS) -> None:
        self._settings = settings
        self._patience = patience
        self.input_topic: Final = settings.input_topic
        """Where letters go back to, whatever they say themselves: others may write letters too."""
        self._topic = settings.dead_letter_topic
        self._connection = connection.of(settings)
        self._cluster = Cluster(self._connection)
        found = self._cluster.require({self._topic: "READ"})
        self._partitions = range(found[self._topic])

    def open(self, reason: str | None = None) -> Iterator[Letter]:
        """Read the letters that have not been sent back, by partition in order.

        Raises `DominationError` (75) where a transaction that stays open hides some of the topic.
        """
        return (each for each in self._unmarked() if each and reason in (None, each.reason))

    def get(self, partition: int, offset: int) -> Letter:
        """Read one letter, sent back or not; 78 if there is none at this place."""
        if partition in self._partitions and self._has(partition, offset):
            for message in self._read(partition, offset):
                if message.offset() == offset and isinstance(found := recognise(message), Letter):
                    return found
                break
        raise DominationError(
            Exit.SETTING, f"no dead letter at {partition}:{offset} of {self._topic}"
        )

    def plan(
        self, reason: str | None = None, limit: int | None = None, *, force: bool = False
    ) -> tuple[int, Counter[str]]:
        """Count the letters that `replay` would send, and the others by why they stay."""
        why = self.stays(force=force)
        fit, stay = 0, Counter[str]()
        for letter in self._unmarked():
            if reason not in (None, letter and letter.reason):
                continue
            if failure := why(letter) if letter else UNREADABLE:
                stay[failure] += 1
            else:
                fit += 1
        return fit if limit is None else min(fit, limit), stay

    def stays(self, *, force: bool) -> Callable[[Letter], str | None]:
        """Give what tells of a letter why it is not sent back, or else None.

        It would be a dead letter again, unless `force`; or it is truncated, or larger than its
        topic takes, in any case. Raises `UnwritableError` where the topic takes no marks.
        """
        with self._cluster.asking("asking for the limits of the topics"):
            self._cluster.require_uncompacted(self._topic)
            shadow = self._limit(self._settings.output_topic, DEFAULT_SIZE_LIMIT)
            most = self._limit(self.input_topic, LARGEST_SIZE_LIMIT)

        def why(letter: Letter) -> str | None:
            if letter.truncated:
                return TRUNCATED
            if size(letter.key, letter.value, letter.headers) > most:
                return TOO_LARGE
            return None if force else _fault(letter, shadow)

        return why

    def replay(
        self,
        reason: str | None = None,
        limit: int | None = None,
        *,
        force: bool = False,
        going: Callable[[], bool] = lambda: True,
    ) -> Iterator[int]:
        """Send letters back to the input topic, each once; yield how many at a time.

        `stays` says which do not go. Another replay that comes later fences this one, and each
        letter is still sent once. Raises `DominationError` (75) once `going` says no.
        """
        self._cluster.require({self.input_topic: "WRITE"})
        why = self.stays(force=force)
        left = limit
        while True:
            with self._alone():
                producer = self._producer()
            # Only now nobody else can send a letter back: what is open is read after it.
            chosen = islice((each for each in self.open(reason) if why(each) is None), left)
            while batch := list(islice(chosen, _BATCH)):
                asked = self._connection.asking("sending dead letters back", self._rights)
                with self._alone(), asked:
                    self._send(producer, batch, going)
                left = None if left is None else left - len(batch)
                yield len(batch)
                if producer.in_doubt():
                    break  # A late request would end the next transaction.
            else:
                return

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Say of a producer that is fenced within that there is another replay."""
        try:
            yield
        except FencedError as error:
            raise DominationError(
                Exit.TEMPORARY,
                f"fenced: another replay of {self._topic} runs; start this one again when that "
                "has ended, for the letters that are still open",
            ) from error

    def _send(
        self, producer: TransactionalProducer, letters: list[Letter], going: Callable[[], bool]
    ) -> None:
        with transaction(producer, _CALL_SECONDS):
            for letter in letters:
                producer.send(self.input_topic, letter.value, letter.key, headers=letter.headers)
                mark = FORM.mark(letter.offset)
                producer.send(self._topic, partition=letter.partition, headers=mark)
                hear(producer.poll, 0)
                _require(going)
            deadline = time.monotonic() + _CALL_SECONDS
            while len(producer) and time.monotonic() < deadline:
                hear(producer.flush, _FLUSH_SECONDS)
                _require(going)
            # The commit says what has not been delivered, and why.

    def _producer(self) -> TransactionalProducer:
        with self._cluster.asking("asking for the limits of the topics"):
            limits = [self._limit(topic, DEFAULT_SIZE_LIMIT) for topic in self._written]
        own = {
            "enable.idempotence": True,
            "acks": "all",
            "compression.type": "lz4",
            # Whatever was small enough for these topics.
            "message.max.bytes": LARGEST_SIZE_LIMIT,
            "batch.size": min(*limits, DEFAULT_SIZE_LIMIT),
        }
        producer = TransactionalProducer(self._connection, own, self._transactional_id)
        with self._connection.asking("starting to send dead letters back", self._rights):
            producer.init(self._written, _START_SECONDS)
        return producer

    @property
    def _written(self) -> tuple[str, str]:
        return self.input_topic, self._topic

    @property
    def _transactional_id(self) -> str:
        # Of the topic, whose marks two replays share, whatever their groups are.
        return f"{NAME}-dead-letters-{self._topic}"

    @property
    def _rights(self) -> Rights:
        ids = f"WRITE on transactional id {self._transactional_id}"
        topics = f"WRITE on topic {self.input_topic} and on topic {self._topic}"
        return Rights(topics, transactional_ids=ids)

    def _limit(self, topic: str, untold: int) -> int:
        """Give the largest record that a topic takes, and that we may send."""
        own = number(self._connection.properties, "message.max.bytes", LARGEST_SIZE_LIMIT)
        # Each alone: who may not ask for one of them is told of none.
        return min(self._cluster.size_limits([topic]).get(topic, untold), own)

    def _unmarked(self) -> Iterator[Letter | None]:
        """Read what has not been sent back; None for each record that is no letter."""
        self._wait_for_others()
        for partition in self._partitions:
            found = map(recognise, self._read(partition))
            marked = {each.letter for each in found if isinstance(each, Mark)}
            for message in self._read(partition):
                if message.offset() in marked:
                    continue
                each = recognise(message)
                if not isinstance(each, Mark):
                    yield each

    def _wait_for_others(self) -> None:
        """Wait until all that is there now can be read: the marks behind open transactions too."""
        places = at(self._topic, self._partitions)
        deadline = time.monotonic() + self._patience
        with self._cluster.asking(f"asking for the offsets of topic {self._topic}"):
            ends = self._cluster.end_offsets(places)
            while not self._readable_to(ends):
                if time.monotonic() > deadline:
                    raise DominationError(Exit.TEMPORARY, self._held_up)
                time.sleep(_LOOK_SECONDS)

    def _readable_to(self, ends: Mapping[int, int]) -> bool:
        places = at(self._topic, ends)
        stable = self._cluster.stable_offsets(places)
        return all(stable[partition] >= end for partition, end in ends.items())

    @property
    def _held_up(self) -> str:
        return (
            f"a transaction in topic {self._topic} has been open for {self._patience:.0f} s, and "
            "nobody can read past it; find it with 'kafka-transactions.sh find-hanging', "
            "abort it, and start again"
        )

    def _has(self, partition: int, offset: int) -> bool:
        place = at(self._topic, [partition])
        with self._cluster.asking(f"asking for the offsets of topic {self._topic}"):
            first = self._cluster.first_offsets(place)[partition]
            return first <= offset < self._cluster.end_offsets(place)[partition]

    def _read(self, partition: int, offset: int | None = None) -> Iterator[Message]:
        """Read a partition from an offset, or from the first record, to the end it has now."""
        place = at(self._topic, [partition])
        with self._cluster.asking(f"asking for the offsets of topic {self._topic}"):
            first = self._cluster.first_offsets(place)[partition]
        start = first if offset is None else max(offset, first)
        # The end is told with an answer, and an empty one waits for so long.
        with closing(Tail(self._connection, self._settings.group, wait_ms=10)) as tail:
            tail.follow(at(self._topic, [partition], start))
            yield from tail.to_end()


def _require(going: Callable[[], bool]) -> None:
    if not going():
        raise DominationError(
            Exit.TEMPORARY, "stopped: letters not sent back are still open; start it again"
        )


def _fault(letter: Letter, limit: int) -> str | None:
    """Give the reason that a letter would have again, if it would be one again."""
    (found,) = read([letter.value])
    if isinstance(found, Fault):
        return found.reason
    (value,) = encode(judge([found]), datetime.now(timezone.utc))
    large = size(letter.key, value, letter.headers) > limit  # They are carried over.
    return Reason.SHADOW_TOO_LARGE.value if large else None
