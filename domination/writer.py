"""The producing end of a session: one transactional producer, thrown away when in doubt."""

from __future__ import annotations

import time
from collections import deque
from contextlib import suppress
from itertools import compress, count, repeat
from operator import length_hint
from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import KafkaError, KafkaException

from domination import broker, dead_letter
from domination.patience import within
from domination.transactional import TRANSACTION_SECONDS, TransactionalProducer, hear, serving

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from confluent_kafka import Message, TopicPartition

    from domination.exactly_once.batch import Fault
    from domination.settings import Settings

CONFIG: Final = {
    "acks": "all",
    "enable.idempotence": True,
    "compression.type": "lz4",
    "linger.ms": 20,
    # A transaction that follows another at once is put off by Kafka until that one's marks are
    # written, a few milliseconds; by default each such try waits for 100.
    "retry.backoff.ms": 3,
    "retry.backoff.max.ms": 100,
    # A new producer connects three times; by default each waits for a turn of 50 ms.
    "reconnect.backoff.ms": 10,
    # The commit tells of success: a report for each record took a tenth of the speed.
    "delivery.report.only.error": True,
    "queue.buffering.max.messages": 200_000,
    "queue.buffering.max.kbytes": 65_536,
}
_SMALLEST_LIMIT: Final = 1_000
_QUEUE_SECONDS: Final = TRANSACTION_SECONDS
_HANG_SECONDS: Final = 0.5


class Writer:
    """Writes shadows and dead letters in transactions under one stable transactional id.

    Each method raises `KafkaException` as the producer does. None blocks longer than `timeout`
    seconds (half a second more where librdkafka does not keep to that), and where the queue is full
    no longer than the transaction lives.
    """

    def __init__(self, settings: Settings, transactional_id: str) -> None:
        self._settings = settings
        self._transactional_id = transactional_id
        self._live: TransactionalProducer | None = None
        self._owner = False
        self._open = False
        topics = (settings.output_topic, settings.dead_letter_topic)
        self._limits = dict.fromkeys(topics, broker.DEFAULT_SIZE_LIMIT)
        self._limits_known = False
        self._refused = False
        """Whether the broker has refused a record as too large since the limits were learned."""

    @property
    def _producer(self) -> TransactionalProducer:
        if self._live is None:
            raise KafkaException(KafkaError(KafkaError._STATE, "the producer has been discarded"))
        return self._live

    def renew(self, timeout: float) -> None:
        """Make a new producer, unless a call before this one has, and settle its id's last life."""
        if self._owner:
            self.discard()
        if self._live is None:
            if not self._limits_known:
                self._learn_limits(timeout)
            self._live = self._make()
        self._live.init((self._settings.output_topic, self._settings.dead_letter_topic), timeout)
        self._owner = True

    def in_doubt(self) -> bool:
        """Tell whether a request may reach Kafka after its transaction is over (rule 6)."""
        return self._owner and self._producer.in_doubt()

    @property
    def unsent(self) -> int:
        """Count the records that are not known to be at the broker yet."""
        return len(self._live) if self._live else 0

    def discard(self) -> None:
        """Throw the producer away, and with it what it has not sent."""
        self._owner = self._open = False
        if self._live is not None:
            self._live.purge()
            self._live = None

    def close(self, timeout: float) -> None:
        """End; an open transaction is aborted if the broker answers, else Kafka aborts it later."""
        if self._open:
            with suppress(KafkaException):
                self.abort(timeout)
        self.discard()

    def begin(self) -> None:
        """Open a transaction (rule 1)."""
        self._producer.begin_transaction()
        self._open = True

    def send_offsets(self, positions: list[TopicPartition], member: Any, timeout: float) -> None:
        """Put the read positions into the transaction (rule 4), while the records are sent.

        One does not wait for the other: of a transaction with a few records the waiting is most.
        """
        producer = self._producer
        try:
            # Without its group's coordinator librdkafka may wait for ever: its issues 5456, 5511.
            within(
                timeout + _HANG_SECONDS,
                lambda: producer.send_offsets_to_transaction(positions, member, timeout),
                lambda: hear(producer.flush, timeout),
            )
        except TimeoutError:
            error = KafkaError(KafkaError._TIMED_OUT, "no end of sending offsets")
            raise KafkaException(error) from None

    def commit(self, timeout: float) -> None:
        """Commit the transaction (rule 4)."""
        serving(self._producer.commit_transaction, timeout)
        self._open = False

    def abort(self, timeout: float) -> None:
        """Abort the transaction (rule 6)."""
        serving(self._producer.abort_transaction, timeout)
        self._open = False

    def write(self, values: Sequence[bytes], keys: Sequence[bytes | None]) -> list[int]:
        """Send shadows in order; give the indexes of those that are too large to be sent."""
        return self._send_all(self._settings.output_topic, values, keys)

    def write_dead_letters(self, letters: Sequence[tuple[Message, Fault]]) -> None:
        """Send records that could not be used, whole, to the dead-letter topic.

        What is too large to be sent again is left out, and so are headers that cannot be read; the
        original still stands at the coordinates in the headers.
        """
        values = [message.value() for message, _ in letters]
        keys = [message.key() for message, _ in letters]
        originals = [dead_letter.original(message.headers) for message, _ in letters]
        headers = list(map(_headers, letters, originals))
        topic = self._settings.dead_letter_topic
        for place in self._send_all(topic, values, keys, headers):
            own = _headers(letters[place], None)
            letter = keys[place], b"", [*(originals[place] or ()), *own]
            if dead_letter.size(*letter) > self._limits[topic]:
                letter = None, b"", own
            self._send_one(topic, *letter)

    def shrink(self) -> None:
        """Send smaller records from the next renewal on: the broker has refused one as too large.

        Its limits may have changed; where it does not tell them, they are found by halving.
        """
        self._limits_known, self._refused = False, True

    def _learn_limits(self, timeout: float) -> None:
        """Ask for the topics' limits, unless the operator has set one; raises if nobody answers."""
        before = dict(self._limits)
        own = int(self._settings.kafka.get("message.max.bytes", 0))
        if own and not self._refused:
            self._limits = dict.fromkeys(self._limits, own)
        else:
            told = broker.Admin(self._settings, timeout).size_limits(self._limits)
            most = own or broker.LARGEST_SIZE_LIMIT
            self._limits |= {topic: min(limit, most) for topic, limit in told.items()}
        if self._refused and self._limits == before:
            self._limits = {
                topic: max(limit // 2, _SMALLEST_LIMIT) for topic, limit in before.items()
            }
        self._limits_known, self._refused = True, False

    def _make(self) -> TransactionalProducer:
        sizes = {
            "message.max.bytes": max(self._limits.values()),
            "batch.size": min(*self._limits.values(), broker.DEFAULT_SIZE_LIMIT),
        }
        config = broker.client_config(self._settings, CONFIG | sizes)
        with broker.told(self._settings, "reading the settings"):
            return TransactionalProducer(config, self._transactional_id)

    def _send_all(
        self,
        topic: str,
        values: Sequence[bytes | None],
        keys: Sequence[bytes | None],
        headers: Sequence[list[dead_letter.Header]] = (),
    ) -> list[int]:
        """Send records in order; give the places of those that are too large."""
        if self._limits[topic] == max(self._limits.values()):
            return self._send_fitting(topic, values, keys, headers)
        # The producer's own limit is another topic's.
        sizes = map(dead_letter.size, keys, values, headers or repeat(()))
        fit = [size <= self._limits[topic] for size in sizes]
        places = list(compress(count(), fit))
        columns: Any = [list(compress(column, fit)) for column in (values, keys, headers)]
        refused = {places[place] for place in self._send_fitting(topic, *columns)}
        return [place for place, fits in enumerate(fit) if not fits or place in refused]

    def _send_fitting(
        self,
        topic: str,
        values: Sequence[bytes | None],
        keys: Sequence[bytes | None],
        headers: Sequence[list[dead_letter.Header]],
    ) -> list[int]:
        """Send records in order; give the places of those that the producer finds too large."""
        too_large: list[int] = []
        left = iter(values)
        columns: list[Iterable[Any]] = [repeat(topic), left, keys]
        if headers:  # After the partition, two callbacks and the timestamp.
            columns += [repeat(-1), repeat(None), repeat(None), repeat(0), headers]
        sends = map(self._producer.produce, *columns)
        while length_hint(left):
            try:
                # The calls come from C, without a line of Python or a dictionary for each: half of
                # what produce_batch costs.
                deque(sends, maxlen=0)
            except BufferError:  # noqa: PERF203 - it goes on where it was refused
                place = len(values) - length_hint(left) - 1
                self._send_one(topic, keys[place], values[place], headers[place] if headers else [])
            except KafkaException as exception:
                if exception.args[0].code() != KafkaError.MSG_SIZE_TOO_LARGE:
                    raise
                too_large.append(len(values) - length_hint(left) - 1)
        return too_large

    def _send_one(
        self, topic: str, key: bytes | None, value: bytes | None, headers: list[dead_letter.Header]
    ) -> None:
        deadline = time.monotonic() + _QUEUE_SECONDS
        while True:
            try:
                self._producer.produce(topic, value, key, headers=headers)
            except BufferError:  # noqa: PERF203 - the way that backpressure comes
                if time.monotonic() > deadline:
                    raise KafkaException(KafkaError(KafkaError._QUEUE_FULL)) from None
                hear(self._producer.poll, 0.1)
            else:
                return


def _headers(
    letter: tuple[Any, Fault], original: list[dead_letter.Header] | None
) -> list[dead_letter.Header]:
    message, fault = letter
    place = message.topic(), message.partition(), message.offset(), message.timestamp()[1]
    return dead_letter.headers(original, fault, place)
