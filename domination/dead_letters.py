"""Dead letters as an operator meets them: those that are open, and sending them back.

A letter that is sent back leaves a mark beside it: a record without key or value, in the letter's
own partition, whose header says the letter's offset. Both are written in one transaction, so a
letter is open exactly as long as it has no mark, whatever order letters are chosen in, and the
topic needs nobody's offsets. Retention deletes a letter before its mark.
"""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from datetime import datetime, timezone
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from confluent_kafka import KafkaException, TopicPartition

from domination import connection
from domination.errors import DominationError, Exit
from domination.exactly_once.batch import Fault
from domination.exactly_once.dead_letter import Form, size
from domination.exactly_once.fetched import readable
from domination.exactly_once.transactional import TransactionalProducer, serving
from domination.kafka.cluster import DEFAULT_SIZE_LIMIT, LARGEST_SIZE_LIMIT, Cluster
from domination.kafka.faults import Rights
from domination.kafka.tail import Tail
from domination.ratings import Reason, read
from domination.settings import NAME
from domination.shadows import encode, judge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from confluent_kafka import KafkaError, Message

    from domination.exactly_once.batch import Header
    from domination.exactly_once.dead_letter import Coordinates
    from domination.settings import Settings

FORM: Final = Form(f"{NAME}.")
"""Of the dead letters' headers."""

TRUNCATED: Final = "truncated"
"""Why a letter is not sent back that is not whole; else it is the reason it would have again."""

_BATCH: Final = 500
_START_SECONDS: Final = 30.0
_CALL_SECONDS: Final = 9.0
"""Less than the producer's own limit for a request."""


class Letter(NamedTuple):
    """A dead letter: where it lies, why it is there, and the record it was."""

    partition: int
    offset: int
    reason: str
    message: str
    """What is wrong, in words; it never quotes the record."""
    origin: Coordinates
    key: bytes | None
    value: bytes | None
    headers: list[Header]
    """The original's own."""
    truncated: bool
    """Whether something of the original has been left out; it is whole at its origin."""

    def json(self) -> dict[str, Any]:
        """Write it for programs, without the record."""
        return {
            "partition": self.partition,
            "offset": self.offset,
            "reason": self.reason,
            "message": self.message,
            "origin": self.origin._asdict(),
            "truncated": self.truncated,
        }

    def whole(self) -> dict[str, Any]:
        """Write it with the record, each byte that is no text as an escape."""
        return self.json() | {
            "key": _text(self.key),
            "headers": [[name, _text(value)] for name, value in self.headers],
            "value": _text(self.value),
        }

    def line(self) -> str:
        """Write it as a row for people."""
        place = f"{self.partition}:{self.offset}"
        origin = f"{self.origin.topic}[{self.origin.partition}]@{self.origin.offset}"
        return f"{place:<12}{self.reason:<24}{origin:<24}{self.message}"


class DeadLetterTopic:
    """The dead-letter topic. Whatever Kafka refuses, or its absence, is a `FaultError`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._topic = settings.dead_letter_topic
        self._connection = connection.of(settings)
        self._cluster = Cluster(self._connection)
        found = self._cluster.require({self._topic: "READ"})
        self._partitions = range(found[self._topic])

    def open(self, reason: str | None = None) -> Iterator[Letter]:
        """Read the letters that have not been sent back, by partition in order."""
        for partition in self._partitions:
            marked = {_marked(message) for message in self._read(partition)}
            for message in self._read(partition):
                letter = None if message.offset() in marked else _letter(message)
                if letter and reason in (None, letter.reason):
                    yield letter

    def get(self, partition: int, offset: int) -> Letter:
        """Read one letter, sent back or not; 78 if there is none at this place."""
        if partition in self._partitions:
            for message in self._read(partition, offset):
                if message.offset() == offset and (letter := _letter(message)):
                    return letter
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
        for letter in self.open(reason):
            if failure := why(letter):
                stay[failure] += 1
            else:
                fit += 1
        return fit if limit is None else min(fit, limit), stay

    def stays(self, *, force: bool) -> Callable[[Letter], str | None]:
        """Give what tells of a letter why it is not sent back, or else None.

        It would be a dead letter again, unless `force`; or it is truncated, in any case.
        """
        with self._connection.asking("asking for the limits of the topics"):
            limits = self._cluster.size_limits([self._settings.output_topic])
        limit = limits.get(self._settings.output_topic, DEFAULT_SIZE_LIMIT)

        def why(letter: Letter) -> str | None:
            if letter.truncated:
                return TRUNCATED
            return None if force else _fault(letter, limit)

        return why

    def replay(
        self, reason: str | None = None, limit: int | None = None, *, force: bool = False
    ) -> Iterator[int]:
        """Send letters back to their topic, each once; yield how many at a time.

        Those that would fail again stay, unless `force`; those that are truncated stay in any case.
        Another replay that comes later fences this one, and each letter is still sent once.
        """
        self._cluster.require({self._settings.input_topic: "WRITE"})
        why = self.stays(force=force)
        left = limit
        while True:
            producer = self._producer()
            # Only now nobody else can send a letter back: what is open is read after it.
            chosen = islice((each for each in self.open(reason) if why(each) is None), left)
            while batch := list(islice(chosen, _BATCH)):
                with self._connection.asking("sending dead letters back", self._rights):
                    self._send(producer, batch)
                left = None if left is None else left - len(batch)
                yield len(batch)
                if producer.in_doubt():
                    break  # A late request would end the next transaction.
            else:
                return

    def _send(self, producer: TransactionalProducer, letters: list[Letter]) -> None:
        failed: list[KafkaError] = []

        def delivered(error: KafkaError | None, _message: Message) -> None:
            if error:
                failed.append(error)

        producer.begin_transaction()
        for letter in letters:
            origin = letter.origin.topic or self._settings.input_topic
            producer.produce(
                origin, letter.value, letter.key, headers=letter.headers, on_delivery=delivered
            )
            mark = FORM.mark(letter.offset)
            producer.produce(
                self._topic, partition=letter.partition, headers=mark, on_delivery=delivered
            )
            producer.poll(0)
        serving(producer.flush, _CALL_SECONDS)
        if failed:
            serving(producer.abort_transaction, _CALL_SECONDS)
            raise KafkaException(failed[0])
        serving(producer.commit_transaction, _CALL_SECONDS)

    def _producer(self) -> TransactionalProducer:
        own = {
            "enable.idempotence": True,
            "acks": "all",
            "compression.type": "lz4",
            # Whatever was small enough for these topics.
            "message.max.bytes": LARGEST_SIZE_LIMIT,
        }
        transactional_id = f"{self._settings.id_prefix}dead-letters"
        producer = TransactionalProducer(self._connection, own, transactional_id)
        with self._connection.asking("starting to send dead letters back", self._rights):
            producer.init((self._settings.input_topic, self._topic), _START_SECONDS)
        return producer

    @property
    def _rights(self) -> Rights:
        ids = f"WRITE on every transactional id that begins with {self._settings.id_prefix}"
        topics = f"WRITE on topic {self._settings.input_topic} and on topic {self._topic}"
        return Rights(topics, transactional_ids=ids)

    def _read(self, partition: int, offset: int | None = None) -> Iterator[Message]:
        """Read a partition from an offset, or from the first record, to the end it has now."""
        place = TopicPartition(self._topic, partition)
        first = self._cluster.first_offsets([place])[partition]
        start = first if offset is None else max(offset, first)
        # The end is told with an answer, and an empty one waits for so long.
        with closing(Tail(self._connection, self._settings.group, wait_ms=10)) as tail:
            tail.follow([TopicPartition(self._topic, partition, start)])
            yield from tail.to_end()


def _fault(letter: Letter, limit: int) -> str | None:
    """Give the reason that a letter would have again, if it would be one again."""
    (found,) = read([letter.value])
    if isinstance(found, Fault):
        return found.reason
    (value,) = encode(judge([found]), datetime.now(timezone.utc))
    large = size(letter.key, value, letter.headers) > limit  # They are carried over.
    return Reason.SHADOW_TOO_LARGE.value if large else None


def _text(value: str | bytes | None) -> str | None:
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else value


def _marked(message: Message) -> int | None:
    """Give the offset of the letter that a mark stands for, of anything else None."""
    headers = readable(message.headers) or []
    offsets = [value for name, value in headers if name == FORM.replayed]
    return int(offsets[-1]) if offsets and offsets[-1] else None


def _letter(message: Message) -> Letter | None:
    """Read a dead letter; None for what is none."""
    found = FORM.read(readable(message.headers) or [])
    if found is None:
        return None
    return Letter(
        message.partition() or 0,
        message.offset() or 0,
        found.reason,
        found.message,
        found.origin,
        message.key(),
        message.value(),
        found.headers,
        found.truncated,
    )
