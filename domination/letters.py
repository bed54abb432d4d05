"""Dead letters as an operator meets them: those that are open, and sending them back.

A letter that is sent back leaves a mark beside it: a record without key or value, in the letter's
own partition, whose header says the letter's offset. Both are written in one transaction, so a
letter is open exactly as long as it has no mark, whatever order letters are chosen in, and the
topic needs nobody's offsets. Retention deletes a letter before its mark.
"""

from __future__ import annotations

from datetime import datetime, timezone
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from domination import broker, dead_letter
from domination.errors import DominationError, Exit
from domination.exactly_once.batch import Records
from domination.log import librdkafka
from domination.ratings import Reason, read
from domination.shadows import judge, write
from domination.transactional import TransactionalProducer, serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from confluent_kafka import Message

    from domination.settings import Settings

_BATCH: Final = 500
_POLL_SECONDS: Final = 1.0
_START_SECONDS: Final = 30.0
_CALL_SECONDS: Final = 9.0
"""Less than the producer's own limit for a request."""
_SILENT_POLLS: Final = 30


class Letter(NamedTuple):
    """A dead letter: where it lies, why it is there, and the record it was."""

    partition: int
    offset: int
    reason: str
    message: str
    """What is wrong, in words; it never quotes the record."""
    origin: dead_letter.Coordinates
    key: bytes | None
    value: bytes | None
    headers: list[dead_letter.Header]
    """The original's own."""
    truncated: bool
    """Whether something of the original has been left out; it is whole at its origin."""


class Letters:
    """The dead-letter topic. Whatever Kafka refuses, or its absence, is a `DominationError`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._topic = settings.dead_letter_topic
        self._admin = broker.Admin(settings)
        found = self._admin.partitions({self._topic: "READ"})
        broker.require_topics(found)
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

    def stays(self, *, force: bool) -> Callable[[Letter], str | None]:
        """Give what tells of a letter why it is not sent back, or else None.

        It would be a dead letter again, unless `force`; or it is truncated, in any case.
        """
        with broker.told(self._settings, "asking for the limits of the topics"):
            limits = self._admin.size_limits([self._settings.output_topic])
        limit = limits.get(self._settings.output_topic, broker.DEFAULT_SIZE_LIMIT)

        def why(letter: Letter) -> str | None:
            if letter.truncated:
                return "truncated"
            if force:
                return None
            batch = read(Records([letter.value], [letter.key]))
            if batch.rejects:
                return batch.rejects[0].fault.reason
            written = write(judge(batch), datetime.now(timezone.utc))
            too_large = dead_letter.size(letter.key, written.values[0]) > limit
            return Reason.SHADOW_TOO_LARGE if too_large else None

        return why

    def replay(
        self, reason: str | None = None, limit: int | None = None, *, force: bool = False
    ) -> Iterator[int]:
        """Send letters back to their topic, each once; yield how many at a time.

        Those that would fail again stay, unless `force`; those that are truncated stay in any case.
        Another replay that comes later ends this one with 75, and each letter is still sent once.
        """
        broker.require_topics(self._admin.partitions({self._settings.input_topic: "WRITE"}))
        why = self.stays(force=force)
        left = limit
        while True:
            producer = self._producer()
            # Only now nobody else can send a letter back: what is open is read after it.
            chosen = islice((each for each in self.open(reason) if why(each) is None), left)
            while batch := list(islice(chosen, _BATCH)):
                with broker.told(self._settings, "sending dead letters back"):
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
            mark: Any = {dead_letter.REPLAYED: str(letter.offset).encode()}
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
            "message.max.bytes": broker.LARGEST_SIZE_LIMIT,
        }
        config = broker.client_config(self._settings, own)
        with broker.told(self._settings, "reading the settings"):
            producer = TransactionalProducer(config, f"{self._settings.id_prefix}dead-letters")
        with broker.told(self._settings, "starting to send dead letters back"):
            producer.init((self._settings.input_topic, self._topic), _START_SECONDS)
        return producer

    def _read(self, partition: int, offset: int | None = None) -> Iterator[Message]:
        """Read a partition from an offset, or from the first record, to the end it has now."""
        place = TopicPartition(self._topic, partition)
        first = self._admin.first_offsets([place])[partition]
        config = broker.client_config(self._settings, {}) | {
            # It only gives the client a name: nothing is committed, and nobody joins.
            "group.id": self._settings.group,
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
            # The end is told with an answer, and an empty one waits for so long.
            "fetch.wait.max.ms": 10,
        }
        with broker.told(self._settings, f"reading {self._topic}", f"READ on topic {self._topic}"):
            consumer = Consumer(config, logger=librdkafka)
            try:
                start = first if offset is None else max(offset, first)
                consumer.assign([TopicPartition(self._topic, partition, start)])
                silent = 0
                while silent < _SILENT_POLLS:
                    # To ask for a whole batch at once waits out the time where there are fewer.
                    arrived = consumer.poll(_POLL_SECONDS)
                    if arrived is None:
                        silent += 1
                        continue
                    silent = 0
                    for message in [arrived, *consumer.consume(_BATCH, 0)]:
                        error = message.error()
                        if error is None:
                            yield message
                        elif error.code() == KafkaError._PARTITION_EOF:
                            return
                        else:
                            raise KafkaException(error)
                raise KafkaException(KafkaError(KafkaError._TIMED_OUT, "no end of the topic"))
            finally:
                consumer.close()


def _marked(message: Message) -> int | None:
    """Give the offset of the letter that a mark stands for, of anything else None."""
    headers = dead_letter.original(message.headers) or []
    offsets = [value for name, value in headers if name == dead_letter.REPLAYED]
    return int(offsets[-1]) if offsets and offsets[-1] else None


def _letter(message: Message) -> Letter | None:
    """Read a dead letter; None for what is none."""
    headers = dead_letter.original(message.headers) or []
    found = dead_letter.read(headers)
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
