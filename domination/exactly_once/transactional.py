"""A transactional producer that knows when one of its requests is in doubt.

librdkafka sends a request again, within the same call, when its connection breaks or its time runs
out before the answer comes. The call then succeeds, although the first copy may still reach Kafka.
Only its log tells. Rule 6 of `rule.py` says what follows from a doubt.
"""

from __future__ import annotations

import logging
import re
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import KafkaError, KafkaException, Producer

from domination.kafka.client import PRODUCER_DEFAULTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from confluent_kafka import ThrottleEvent

    from domination.kafka.client import Connection
    from domination.kafka.client_log import ClientLog

TRANSACTION_SECONDS: Final = 10.0
"""Kafka aborts a transaction that is open for longer."""
QUEUE_SECONDS: Final = TRANSACTION_SECONDS
_POLL_SECONDS: Final = 0.1

# A connection that carried requests. The client writes such a line at each change of a state, under
# any `log_level` and `log.connection.close`; of two FAIL lines that are alike it writes only one.
_BROKE: Final = re.compile(r"changed state (UP|REAUTH) -> DOWN")
_BROKE_DEBUG: Final = "broker"


class _NoAnswerError(Exception):
    """Nobody answers."""


class TransactionalProducer(Producer):
    """A producer with one transactional id, for one epoch: no doubt of it is ever forgotten.

    Raises `SettingError` where it cannot be made, and `KafkaException` as the client does.
    """

    def __init__(
        self, connection: Connection, defaults: Mapping[str, Any], transactional_id: str
    ) -> None:
        asked = connection.properties.get("debug")
        self._log = _Log(connection.log, forward_debug=bool(asked))
        self._throttles: list[ThrottleEvent] = []
        own = {
            "transactional.id": transactional_id,
            "transaction.timeout.ms": int(TRANSACTION_SECONDS * 1000),
            # The longest that the client allows, so that our own limits are shorter (rule 7).
            "socket.timeout.ms": int(TRANSACTION_SECONDS * 1000) - 100,
            "throttle_cb": self._throttles.append,
            "debug": f"{asked},{_BROKE_DEBUG}" if asked else _BROKE_DEBUG,
            # Else a client that has lost all connections at once drops the brokers it knows. A call
            # that waits for its coordinator then waits for ever, and the broker's thread spins. A
            # new producer starts from the given addresses anyway.
            "metadata.recovery.strategy": "none",
        }
        with connection.making():
            merged = connection.config({**PRODUCER_DEFAULTS, **defaults}, own)
            super().__init__(merged, logger=self._log)

    def init(self, topics: Sequence[str], timeout: float) -> None:
        """Take the transactional id: settle what its last owner left open, and fence it.

        Raises UNKNOWN_TOPIC_OR_PART with its name where one of the topics, to which this producer
        is to write, is missing. Call it again if the error is retriable.
        """
        # A client drops the address it started from once it knows the brokers' own. If it looks for
        # the coordinator in between, it waits for half a second. The second answer comes from a
        # broker that stays.
        # Where nobody answers, that is told by the call that matters.
        with suppress(_NoAnswerError):
            for topic in topics:
                self._require(topic, timeout)
        serving(self.init_transactions, timeout)
        hear(self.poll, 0)
        # No transaction has been opened yet: a late copy of these requests can only fence us.
        self._log.in_doubt = False

    def _require(self, topic: str, timeout: float) -> None:
        try:
            error = self.list_topics(topic, timeout=timeout).topics[topic].error
        except KafkaException as exception:
            raise _NoAnswerError from exception
        if error and error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            raise KafkaException(KafkaError(error.code(), f"no topic {topic}"))

    def begin_transaction(self) -> None:
        """Open a transaction, which no broker has throttled yet."""
        self._throttles.clear()
        super().begin_transaction()

    def send(self, *arguments: Any, **named: Any) -> None:
        """Do as `produce` does; where the queue is full, wait for room while a transaction lives.

        Raises `KafkaException` (_QUEUE_FULL) after `QUEUE_SECONDS`.
        """
        deadline = time.monotonic() + QUEUE_SECONDS
        while True:
            try:
                self.produce(*arguments, **named)
            except BufferError:  # noqa: PERF203 - the way that backpressure comes
                if time.monotonic() > deadline:
                    raise KafkaException(KafkaError(KafkaError._QUEUE_FULL)) from None
                hear(self.poll, _POLL_SECONDS)
            else:
                return

    @property
    def throttled(self) -> float:
        """Give the longest that a broker has throttled this transaction, in seconds.

        It answers at once, and then reads nothing more from the connection for so long.
        """
        return max((event.throttle_time for event in self._throttles), default=0.0)

    def in_doubt(self) -> bool:
        """Tell whether a request may reach Kafka after its transaction is over.

        All that concerns an ended transaction is known when the call that ended it returns.
        """
        hear(self.poll, 0)
        return self._log.in_doubt


class _Log:
    """The logger of one producer; it does not know the producer, which holds it."""

    def __init__(self, log: ClientLog, *, forward_debug: bool) -> None:
        self._log = log
        self._forward_debug = forward_debug
        self.in_doubt = False

    def log(self, level: int, form: str, facility: str, client: str, text: str) -> None:
        if facility == "REQTMOUT" or (facility == "STATE" and _BROKE.search(text)):
            self.in_doubt = True
        if level > logging.DEBUG or self._forward_debug:
            self._log.log(level, form, facility, client, text)


def serving(call: Callable[..., object], *arguments: Any) -> None:
    """Make a call that hears on the way what the producer tells: a fatal error is raised by it.

    A line of the log that follows finds it raised already: a `SystemError` comes of it, or in
    Python 3.10 the bare `KafkaError`, which the client can raise although it is no exception.
    """
    try:
        call(*arguments)
    except KafkaError as error:  # type: ignore[misc]
        raise KafkaException(error) from None
    except SystemError as error:
        cause: BaseException | None = error
        while cause and not isinstance(cause, KafkaException):
            cause = cause.__cause__
        if cause is None:
            raise
        raise cause from None


def hear(call: Callable[[float], object], seconds: float) -> None:
    """Let the producer send and tell; a fatal error is told again by the call that comes next."""
    with suppress(KafkaException):
        serving(call, seconds)


@contextmanager
def transaction(producer: TransactionalProducer, timeout: float) -> Iterator[None]:
    """Commit what is sent within; abort it for whatever ends it. `timeout` is of each call."""
    try:
        producer.begin_transaction()
        yield
        serving(producer.commit_transaction, timeout)
    except BaseException:
        # Left open, it would hold up every reader until Kafka aborts it.
        with suppress(KafkaException):
            serving(producer.abort_transaction, timeout)
        raise
