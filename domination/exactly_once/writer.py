"""The producing end of a session: one transactional producer, thrown away when in doubt."""

from __future__ import annotations

import time
from collections import deque
from contextlib import contextmanager, suppress
from itertools import compress, count, repeat
from operator import attrgetter, length_hint
from typing import TYPE_CHECKING, Final

from confluent_kafka import KafkaError, KafkaException

from domination.exactly_once.batch import Fault, Reject
from domination.exactly_once.columns import Columns, columns
from domination.exactly_once.dead_letter import size
from domination.exactly_once.ports import CallError
from domination.exactly_once.rule import Failure
from domination.exactly_once.same_topic import noted
from domination.exactly_once.transactional import TransactionalProducer, hear, serving
from domination.kafka import faults
from domination.kafka.client import number
from domination.kafka.cluster import DEFAULT_SIZE_LIMIT, LARGEST_SIZE_LIMIT, Cluster
from domination.kafka.deadline import within

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from domination.exactly_once.batch import Headers, Outcome, Record
    from domination.exactly_once.rule import Position
    from domination.exactly_once.same_topic import Proof
    from domination.exactly_once.target import Target
    from domination.kafka.client import Connection

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
}
_QUEUE_KILOBYTES: Final = 65_536
"""The most that is not at the broker yet: what a transaction holds where the broker is slow."""
HANG_SECONDS: Final = 0.5
_SMALLEST_LIMIT: Final = 1_000
_ASK_SECONDS: Final = 5.0
"""How long an answer to the question for the topics' limits is good for."""
ANSWER_SECONDS: Final = 2.0
"""How long that question may take."""
_PLACE: Final = attrgetter("place")
# A call after the one that failed the transaction, or the producer, only says that it has.
_ECHO: Final = frozenset({KafkaError._STATE, KafkaError._FATAL})


def producer(
    connection: Connection, transactional_id: str, limits: Iterable[int] = ()
) -> TransactionalProducer:
    """Make a producer for topics whose largest records have so many bytes; raises `SettingError`.

    It connects with its first call.
    """
    known = [*limits] or [DEFAULT_SIZE_LIMIT]
    largest = max(known)
    sizes = {
        "message.max.bytes": largest,
        # A record of more than all of the queue would wait for room for ever.
        "queue.buffering.max.kbytes": max(_QUEUE_KILOBYTES, largest // 1024 + 1),
        "batch.size": min(*known, DEFAULT_SIZE_LIMIT),
    }
    return TransactionalProducer(connection, CONFIG | sizes, transactional_id)


class KafkaWriter:
    """Writes values and dead letters in transactions under one stable transactional id.

    A `Writer` of `ports.py`. No method blocks longer than `timeout` seconds (half a second more
    where librdkafka does not keep to that), and where the queue is full no longer than the
    transaction lives; where a record is too large, `ANSWER_SECONDS` more.
    """

    def __init__(self, connection: Connection, target: Target) -> None:
        self.connection = connection
        self.target = target
        """Where it writes, and under which name."""
        self._live: TransactionalProducer | None = None
        self._owner = False
        self._open = False
        self._limits = dict.fromkeys(target.topics, DEFAULT_SIZE_LIMIT)
        self._limits_known = False
        self._told: dict[str, int] = {}
        """The limits that the topics told last."""
        self._ask_due = 0.0
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
        with self._calling("starting transactions"):
            if self._live is None:
                if not self._limits_known:
                    self._learn_limits(timeout)
                self._live = producer(
                    self.connection, self.target.transactional_id, self._limits.values()
                )
            self._live.init(self.target.topics, timeout)
        self._owner = True

    def in_doubt(self) -> bool:
        """Tell whether a request may reach Kafka after its transaction is over (rule 6)."""
        return self._owner and self._live is not None and self._live.in_doubt()

    @property
    def unsent(self) -> int:
        """Count the records that are not known to be at the broker yet."""
        return len(self._live) if self._live else 0

    @property
    def throttled(self) -> float:
        """Give the longest that a broker has throttled the transaction, in seconds."""
        return self._live.throttled if self._live else 0.0

    def discard(self) -> None:
        """Throw the producer away, and with it what it has not sent."""
        self._owner = self._open = False
        if self._live is not None:
            self._live.purge()
            self._live = None

    def close(self, timeout: float) -> None:
        """End; an open transaction is aborted if the broker answers, else Kafka aborts it later."""
        if self._open:
            with suppress(CallError):
                self.abort(timeout)
        self.discard()

    def begin(self) -> None:
        """Open a transaction (rule 1)."""
        with self._calling("opening a transaction"):
            self._producer.begin_transaction()
        self._open = True

    def send_offsets(self, positions: Mapping[int, Position], proof: Proof, timeout: float) -> None:
        """Put the read positions into the transaction (rule 4), while the records are sent.

        One does not wait for the other: of a transaction with a few records the waiting is most.
        """
        offsets = noted(self.target.read, positions, proof.note)
        with self._calling("sending offsets"):
            producer = self._producer
            try:
                # Without its group's coordinator librdkafka may wait for ever: its issues 5456,
                # 5511.
                within(
                    timeout + HANG_SECONDS,
                    lambda: producer.send_offsets_to_transaction(offsets, proof.member, timeout),
                    lambda: hear(producer.flush, timeout),
                )
            except TimeoutError:
                error = KafkaError(KafkaError._TIMED_OUT, "sending offsets did not return")
                raise KafkaException(error) from None

    def commit(self, timeout: float) -> None:
        """Commit the transaction (rule 4)."""
        with self._calling("committing"):
            serving(self._producer.commit_transaction, timeout)
        self._open = False

    def abort(self, timeout: float) -> None:
        """Abort the transaction (rule 6)."""
        with self._calling("aborting"):
            serving(self._producer.abort_transaction, timeout)
        self._open = False

    def write(self, outcome: Outcome) -> list[Reject]:
        """Send what becomes of a batch, in order; give the rejects that too large values became."""
        with self._calling("writing"):
            unsent = self._send_all(columns(outcome, self.target.write))
            places = outcome.kept(range(len(outcome.records)))
            too_large = [Reject(places[index], self.target.too_large) for index in unsent]
            laid_aside = [each for each in outcome.rejects if not each.dropped]
            # In the order of their records, whichever step has rejected them.
            if letters := sorted([*laid_aside, *too_large], key=_PLACE):
                self._write_dead_letters(
                    [(outcome.records.record(each.place), each.fault) for each in letters]
                )
        return too_large

    def shrink(self) -> None:
        """Send smaller records from the next renewal on: the broker has refused one as too large.

        Its limits may have changed; where it does not tell them, they are found by halving.
        """
        self._limits_known, self._refused = False, True

    @contextmanager
    def _calling(self, doing: str) -> Iterator[None]:
        """Raise `CallError` for what Kafka answers within."""
        try:
            yield
        except KafkaException as exception:
            error: KafkaError = exception.args[0]
            raise CallError(
                f"{doing}: {error.str()}",
                _failure(error),
                faults.fault(error, doing, self.target.rights),
                answered=error.code() > 0,
                retriable=error.retriable(),
                too_large=error.code() == KafkaError.MSG_SIZE_TOO_LARGE,
                echo=error.code() in _ECHO,
            ) from exception

    def _write_dead_letters(self, letters: Sequence[tuple[Record, Fault]]) -> None:
        """Send records that could not be used, whole, to the dead-letter topic.

        What is too large to be sent again is left out, and so are headers that cannot be read; the
        original still stands at the coordinates in the headers.
        """
        write = self.target.form.write
        whole = [
            (record.key, record.value, write(record, fault, record.headers))
            for record, fault in letters
        ]
        for place in self._send_all(self._as_columns(whole)):
            record, fault = letters[place]
            own = write(record, fault, None)
            letter = record.key, b"", [*(record.headers or ()), *own]
            if size(*letter) > self._limits[self.target.dead_letters]:
                letter = None, b"", own
            self._send_one(self._as_columns([letter]), 0)

    def _as_columns(self, letters: Sequence[tuple[bytes | None, bytes | None, Headers]]) -> Columns:
        topic = self.target.dead_letters
        keys, values, headers = zip(*letters, strict=True)
        return Columns([topic] * len(letters), frozenset({topic}), values, keys, headers)

    def _learn_limits(self, timeout: float) -> None:
        """Ask for the topics' limits, unless the operator has set one; raises if nobody answers."""
        before = dict(self._limits)
        own = number(self.connection.properties, "message.max.bytes", 0)
        if own and not self._refused:
            self._limits = dict.fromkeys(self._limits, own)
        else:
            self._told = self._ask_limits(timeout)
            most = own or LARGEST_SIZE_LIMIT
            self._limits |= {topic: min(limit, most) for topic, limit in self._told.items()}
        if self._refused and self._limits == before:
            self._limits = {
                topic: max(limit // 2, _SMALLEST_LIMIT) for topic, limit in before.items()
            }
        self._limits_known, self._refused = True, False

    def _ask_limits(self, timeout: float) -> dict[str, int]:
        self._ask_due = time.monotonic() + _ASK_SECONDS
        told = Cluster(self.connection, timeout).size_limits(self._limits)
        return {topic: min(limit, LARGEST_SIZE_LIMIT) for topic, limit in told.items()}

    def _require_no_growth(self) -> None:
        """Raise `CallError` where a topic takes larger records than it told before.

        What the limits have been found too small for is read again then, by a new producer.
        """
        if time.monotonic() < self._ask_due or "message.max.bytes" in self.connection.properties:
            return
        try:
            told = self._ask_limits(ANSWER_SECONDS)
        except KafkaException:
            return  # The commit will say whether anybody answers.
        before = self._limits | self._told
        if grown := [topic for topic, limit in told.items() if limit > before[topic]]:
            self._limits_known = False
            raise CallError(f"{', '.join(grown)} now accepts larger records", answered=True)

    def _send_all(self, columns: Columns) -> list[int]:
        """Send records in order; give the places of those that are too large.

        Raises `CallError` where the limits have grown, so that they may not be.
        """
        if too_large := self._send_known(columns):
            self._require_no_growth()
        return too_large

    def _send_known(self, columns: Columns) -> list[int]:
        """Send records in order; give the places of those that are larger than the limits."""
        most = max(self._limits.values())
        if all(self._limits[topic] == most for topic in columns.used):
            return self._send_fitting(columns)
        # The producer's own limit is another topic's.
        headers = repeat(None) if columns.headers is None else columns.headers
        sizes = map(size, columns.keys, columns.values, headers)
        fit = [
            number <= self._limits[topic]
            for topic, number in zip(columns.topics, sizes, strict=True)
        ]
        places = list(compress(count(), fit))
        refused = {places[place] for place in self._send_fitting(columns.selected(fit))}
        return [place for place, fits in enumerate(fit) if not fits or place in refused]

    def _send_fitting(self, columns: Columns) -> list[int]:
        """Send records in order; give the places of those that the producer finds too large."""
        too_large: list[int] = []
        left = iter(columns.values)
        sends = map(self._producer.produce, *columns.arguments(left))
        while length_hint(left):
            try:
                # The calls come from C, without a line of Python or a dictionary for each: half of
                # what produce_batch costs.
                deque(sends, maxlen=0)
            except BufferError:  # noqa: PERF203 - it goes on where it was refused
                self._send_one(columns, len(columns.values) - length_hint(left) - 1)
            except KafkaException as exception:
                if exception.args[0].code() != KafkaError.MSG_SIZE_TOO_LARGE:
                    raise
                too_large.append(len(columns.values) - length_hint(left) - 1)
        return too_large

    def _send_one(self, columns: Columns, place: int) -> None:
        self._producer.send(
            columns.topics[place],
            columns.values[place],
            columns.keys[place],
            timestamp=0 if columns.timestamps is None else columns.timestamps[place],
            headers=None if columns.headers is None else columns.headers[place],
        )


def _failure(error: KafkaError) -> Failure:
    if error.code() in faults.PRODUCER_FENCED:
        return Failure.FENCED
    # Kafka's own answer. Behind an error of the client's own a request may be under way.
    if error.txn_requires_abort() and error.code() > 0:
        return Failure.ABORTABLE
    return Failure.UNKNOWN
