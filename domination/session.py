"""One worker's membership and transactions, driven by the commit rule.

The numbers in the comments are those of the rules in `transaction.py`.
"""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

from confluent_kafka import KafkaError, KafkaException, Message

from domination import broker
from domination.errors import DominationError, Exit
from domination.identity import Identity
from domination.log import worker_logger
from domination.meter import Meter
from domination.metrics import SAMPLED
from domination.patience import Absence, Patience
from domination.portion import Portion
from domination.reader import EvictedError, NotYetToldError, Reader
from domination.transaction import Failure, Position, Step, Transaction
from domination.transactional import TRANSACTION_SECONDS
from domination.wire import Fault, Reason, Records
from domination.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable

    from confluent_kafka import TopicPartition

    from domination.lifecycle import Lifecycle
    from domination.metrics import WorkerMetrics
    from domination.settings import Settings
    from domination.wire import Written

_IDLE_SECONDS: Final = 0.1
_OFFSETS_SECONDS: Final = (5.0, 8.0)
"""Offsets cannot be sent in slices: a call that ends has failed. The second after trouble."""
_PROBE_SECONDS: Final = 2.0
_CALL_SECONDS: Final = 9.0
"""Less than the producer's own limit for a request (rule 7)."""
_LAST_CALL_SECONDS: Final = 1.0
"""The same for a worker that has been asked to end."""
_ABORT_SECONDS: Final = 0.5
_LEAVE_SECONDS: Final = 2.0
"""A heartbeat's interval and some: a member that is still joining has to wait for the others."""
_STUCK_SECONDS: Final = 30.0
_LAG_SECONDS: Final = 1.0
_CALM_SECONDS: Final = 1.0
"""Without a record for so long there is no work: after a rewind the first takes a moment."""
_GAP_SECONDS: Final = 0.004
"""Between two transactions, while Kafka writes the marks of the first.

A partition that is added sooner is put off, for 20 ms that librdkafka has no setting for; so the
gap makes the slowest hundredth of records faster.
"""
_AWAY_CALL_SECONDS: Final = 2.0
"""Of a worker that has left the group: it is to end soon when it is asked to."""


class Origin(NamedTuple):
    """What a batch carries through the dataflow for the sink: whose it is, and its messages."""

    session: Session
    ticket: int
    messages: list[Message]


class Session:
    """Reads batches, writes their outcome and commits both, exactly once.

    All calls come from the thread of one Bytewax worker. An error with an exit code is raised as
    `DominationError`; after it the session is of no more use than to be closed.
    """

    def __init__(
        self,
        settings: Settings,
        lifecycle: Lifecycle,
        worker_index: int,
        metrics: WorkerMetrics,
    ) -> None:
        self._settings = settings
        self._lifecycle = lifecycle
        self._rule = Transaction(settings.commit_interval_seconds, TRANSACTION_SECONDS)
        self._identity = Identity(settings, worker_index)
        self._writer = Writer(settings, self._identity.transactional_id)
        self._log = worker_logger(worker_index)
        self._patience = Patience(settings, lifecycle, self._log)
        self._admin: broker.Admin | None = None
        self._reader = self._make_reader()
        self._absence = Absence()
        self._evicted = False
        """Whether the group took this member for another, and nothing has been committed since."""
        self._meter = Meter(self._log)
        self._metrics = metrics
        self._lag_due = 0.0
        self._begin_due = 0.0
        self._idle_since: float | None = None
        self._portion = Portion()
        self.turned = time.monotonic()
        """When the worker last came by, to see that it still does."""
        self._waiting_since: float | None = None
        self._joined = False
        self._closed = False

    def next_batch(self) -> list[Records] | None:
        """Do what the commit rule asks for until there is a batch, or time to let others work.

        None is the end: the worker has been asked to stop and nothing is in flight, or its sink
        has failed.
        """
        self.turned = time.monotonic()
        if self._closed or self._drained():
            return None
        if not self._joined:
            self._join()
            return []
        try:
            return self._advance()
        except EvictedError as error:
            self._rejoin(error)
            return []

    @property
    def unready(self) -> str | None:
        """Say why it does no work yet, or none at the moment; asked from another thread."""
        if not self._joined:
            return "has not heard from the broker"
        if self._absence.away:
            return f"has left the group: {self._absence.why}"
        if not self._reader.member:
            return "is no member of the group yet"
        return "is repairing its transaction" if self._rule.repairing else None

    def write(self, written: Written) -> None:
        """Hand a batch's shadows and dead letters to the open transaction (rule 2)."""
        origin: Origin = written.origin
        if origin.session is not self:
            raise DominationError(
                Exit.BUG, "a step has moved a batch to another worker: keep the steps stateless"
            )
        self._waiting_since = None
        if self._closed or not self._rule.fresh(origin.ticket):
            return
        try:
            self._write(written, origin.messages)
        except KafkaException as exception:
            error = exception.args[0]
            if error.code() not in _FAILED_BEFORE:
                self._failed("writing", error)
                return
            # The commit will say why.
            self._rule.drain()
        self._rule.arrive()

    def close(self) -> None:
        """Leave the group; what is not committed is aborted, at once if the broker answers."""
        if self._closed:
            return
        self._closed = True
        self._rule.changed()
        try:
            self._writer.close(_ABORT_SECONDS)
            if self._joined and not self._absence.away:
                self._reader.leave(_LEAVE_SECONDS)
            else:
                self._reader.close(_LAST_CALL_SECONDS)
        finally:
            self._identity.release()

    def _join(self) -> None:
        """Join the group once the broker answers and has the topics."""
        # One client for all tries: with TLS a connection may take longer than a call.
        self._admin = self._admin or broker.Admin(self._settings)
        self._admin.timeout = self._patience.call_seconds
        try:
            found = self._admin.partitions(broker.needed(self._settings))
        except DominationError as error:
            if error.exit_code is not Exit.UNAVAILABLE:
                raise
            self._patience.troubled(str(error))
            return
        broker.require_topics(found)
        self._admin = None
        self._patience.calm()
        self._absence.progressed()
        self._joined = True
        self._reader.subscribe()
        self._log.info(
            "kafka %s, group %s, instance %s: %s to %s, dead letters to %s",
            self._settings.bootstrap_servers,
            self._settings.group,
            self._identity.instance,
            *self._settings.topics,
        )

    def _rejoin(self, error: EvictedError) -> None:
        """Join the group again under the same name.

        When an answer of the group is lost, as with its broker, Kafka itself takes this member for
        another of the same name. Another one has the transactional id too, and the id decides who
        goes on: whoever was evicted commits again where it begins, and ends if it is fenced.
        """
        self._log.warning(
            "evicted from the group (%s): joining again; if it happens again and again, another "
            "worker has this instance's name %s",
            error,
            self._identity.instance,
        )
        self._evicted = True
        self._rule.changed()
        self._reader.close(_LAST_CALL_SECONDS)
        self._reader = self._make_reader()
        self._reader.subscribe()

    def _make_reader(self) -> Reader:
        return Reader(self._settings, self._identity.instance, self._change, self._log)

    def _drained(self) -> bool:
        """When asked to stop: end the open transaction once nothing is in flight."""
        if not self._lifecycle.stopping:
            return False
        self._rule.drain()
        if self._rule.in_flight:
            return False
        while (step := self._next_step()) in (Step.COMMIT, Step.ABORT):
            self._take(step)
        self._meter.report(last=True)
        return True

    def _advance(self) -> list[Records]:
        """Take one step, or a commit and the next: whoever waits for Kafka still comes by."""
        step = self._next_step()
        if step is Step.COMMIT:
            self._commit()
            step = self._next_step()
        if step is Step.POLL:
            return self._poll()
        if step is Step.WAIT:
            self._wait()
        elif step is not Step.COMMIT:
            self._reader.poll(0)  # Serves the group; what it brings is read again.
            if step is Step.RENEW:
                self._leave_if_stalled()
            self._take(step)
        return []

    def _leave_if_stalled(self) -> None:
        """Leave the group to others, unless its own coordinator is what does not answer."""
        if not self._reader.has_partitions:
            self._absence.put_off()
        if not self._absence.due:
            return
        if not self._reader.is_heard(_PROBE_SECONDS):
            self._absence.put_off()
            return
        self._log.warning("leaving the group to others: %s", self._absence.why)
        self._absence.begin()
        self._reader.leave(_LEAVE_SECONDS)
        self._reader = self._make_reader()
        self._metrics.behind(self._reader.behind())

    def _come_back(self) -> None:
        """Join the group again, once transactions work."""
        if not self._absence.over:
            self._lifecycle.pause(_IDLE_SECONDS)
            return
        self._log.info("joining the group again after %.1f s", self._absence.end())
        self._reader.subscribe()

    def _next_step(self) -> Step:
        if self._writer.in_doubt():
            self._rule.doubted()
        return self._rule.step(time.monotonic())

    def _take(self, step: Step) -> None:
        if step is Step.COMMIT:
            self._commit()
        elif step is Step.ABORT:
            if self._attempt("aborting", self._writer.abort):
                self._rule.aborted()
                self._metrics.ended("aborted")
        elif step is Step.RENEW:
            doubt = self._writer.in_doubt()
            most = self._absence.call_seconds
            if self._attempt("starting transactions", self._writer.renew, most):
                self._rule.renewed()
                self._metrics.ended("unknown")
                if doubt:
                    self._log.info("a connection broke on a request: renewed the producer's epoch")
        elif step is Step.REWIND:
            self._come_back() if self._absence.away else self._rewind()

    def _poll(self) -> list[Records]:
        if not self._rule.open and (gap := self._begin_due - time.monotonic()) > 0:
            time.sleep(gap)
        wanted = self._portion.next(self._reader.wanted)
        wait = 0 if self._rule.open else _IDLE_SECONDS
        messages, positions = self._reader.poll(wait, wanted)
        self._meter.report()
        if (now := time.monotonic()) >= self._lag_due:
            self._lag_due = now + _LAG_SECONDS
            self._metrics.behind(self._reader.behind())
        if self._rule.repairing:
            return []  # The assignment has changed; all this is read again (rule 5).
        if messages:
            self._idle_since = None
            return self._emit(messages, positions, drained=len(messages) < wanted)
        self._rule.drain()
        self._idle_since = self._idle_since or now
        # What comes soon takes these positions along.
        if self._rule.open or now - self._idle_since >= self._settings.commit_interval_seconds:
            self._advance_unled()
        if not self._rule.open and now - self._idle_since >= _CALM_SECONDS:
            self._absence.progressed()
        self._listen()
        return []

    def _advance_unled(self) -> None:
        """Let the group have the positions that no record leads to (rule 1)."""
        positions = self._reader.take_unled()
        if positions and self._begin():
            self._rule.advance(positions, time.monotonic())
            self._rule.drain()

    def _begin(self) -> bool:
        """Open a transaction unless one is open; tell whether one is."""
        if not self._rule.open:
            try:
                self._writer.begin()  # Rule 1.
            except KafkaException as exception:
                self._failed("opening a transaction", exception.args[0])
                return False
            self._metrics.began()
            self._portion.begin(time.monotonic())
        return True

    def _emit(
        self, messages: list[Message], positions: dict[int, Position], *, drained: bool
    ) -> list[Records]:
        if not self._begin():
            return []
        ticket = self._rule.emit(positions, time.monotonic())
        self._portion.add(len(messages))
        if drained or self._portion.full:
            self._rule.drain()
        self._patience.heard()
        self._metrics.read(len(messages), [each.timestamp()[1] for each in messages[::SAMPLED]])
        return [
            Records(
                list(map(Message.value, messages)),
                list(map(Message.key, messages)),
                Origin(self, ticket, messages),
            )
        ]

    def _write(self, written: Written, messages: list[Message]) -> None:
        if len(written.values) + len(written.rejects) != len(messages):
            raise DominationError(
                Exit.BUG, "a step has lost or added records: each leaves one, a value or a reject"
            )
        too_large = self._writer.write(written.values, written.keys)
        letters = [(messages[reject.place], reject.fault) for reject in written.rejects]
        types = written.types
        if too_large:
            rejected = {reject.place for reject in written.rejects}
            read = [index for index in range(len(messages)) if index not in rejected]
            letters += [(messages[read[index]], _TOO_LARGE) for index in too_large]
            unsent = set(too_large)
            types = bytes(each for index, each in enumerate(types) if index not in unsent)
        self._writer.write_dead_letters(letters)
        self._metrics.wrote(types, Counter(fault.reason for _, fault in letters))
        self._meter.count(len(messages) - len(letters), len(letters))

    def _commit(self) -> None:
        metadata, membership = self._reader.membership()
        if not self._rule.may_commit(membership):
            self._log.info("the group has changed since these records were read: read them again")
            return
        offsets = self._reader.as_offsets(self._rule.positions)
        if self._send_offsets(offsets, metadata) and self._attempt(
            "committing", self._writer.commit
        ):
            self._rule.committed()
            self._portion.committed(time.monotonic())
            self._begin_due = time.monotonic() + _GAP_SECONDS
            self._metrics.committed()
            self._patience.calm()
            self._absence.committed()
            self._evicted = False

    def _send_offsets(self, offsets: list[TopicPartition], metadata: bytes) -> bool:
        seconds = _OFFSETS_SECONDS[self._patience.tried]
        try:
            self._writer.send_offsets(offsets, metadata, seconds)
        except KafkaException as exception:
            self._failed("sending offsets", exception.args[0])
            return False
        return True

    def _rewind(self) -> None:
        try:
            membership = self._reader.rewind(self._patience.call_seconds, again=self._evicted)
        except NotYetToldError:
            self._reader.poll(_IDLE_SECONDS)
            self._listen()
        except KafkaException as exception:
            # The broker keeps them back while a transaction that wrote them is open.
            error, doing = exception.args[0], "waiting for the committed offsets"
            if end := broker.refusal(self._settings, error, doing):
                raise end from exception
            self._patience.troubled(f"{doing}: {error.str()}")
        else:
            self._rule.rewound(membership)
            # At once: a first offset is the group's before its first record is written.
            self._advance_unled()

    def _change(self, commit: bool) -> None:  # noqa: FBT001 - the reader's callback
        """End the transaction before the assignment changes (rule 5)."""
        self._metrics.rebalanced()
        try:
            if commit and self._rule.committable:
                self._commit()
        finally:
            self._rule.changed()

    def _attempt(
        self, doing: str, call: Callable[[float], None], most: float = _CALL_SECONDS
    ) -> bool:
        """Make a transactional call until it has an outcome, for a finite time (rules 6, 7)."""
        started = time.monotonic()
        left = most = min(most, _CALL_SECONDS)
        longest = _AWAY_CALL_SECONDS if self._absence.away else most
        while True:
            try:
                call(min(self._patience.call_seconds, left, longest))
            except KafkaException as exception:
                error: KafkaError = exception.args[0]
                limit = _LAST_CALL_SECONDS if self._lifecycle.stopping else most
                left = limit - (time.monotonic() - started)
                if error.retriable() and left > 0:
                    continue
                self._failed(doing, error)
                return False
            return True

    def _failed(self, doing: str, error: KafkaError) -> None:
        """Tell the rule, and end where trying again cannot help (rule 6)."""
        now = time.monotonic()
        failure = Failure.UNKNOWN
        if error.code() in broker.PRODUCER_FENCED:
            failure = Failure.FENCED
        elif error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
            self._writer.shrink()  # Only a new producer has the new limits.
        elif error.txn_requires_abort() and error.code() > 0:
            # Kafka's own answer. Behind an error of the client's own a request may be under way.
            failure = Failure.ABORTABLE
        self._rule.failed(failure, now)
        settled_by_kafka = failure is Failure.FENCED and self._rule.step(now) is not Step.END
        if not settled_by_kafka and (end := broker.expected(self._settings, error, doing)):
            raise end
        if failure is not Failure.ABORTABLE:
            self._portion.failed(self._writer.unsent)
            self._writer.discard()
        self._absence.failed(f"{doing}: {error.str()}", answered=error.code() > 0)
        self._patience.troubled(f"{doing}: {error.str()}")

    def _wait(self) -> None:
        """Wait for batches in flight, but not for ever (rule 3)."""
        now = time.monotonic()
        self._waiting_since = self._waiting_since or now
        if now - self._waiting_since > _STUCK_SECONDS:
            raise DominationError(
                Exit.BUG,
                "not each batch has reached the sink once: a step drops, keeps or repeats batches",
            )

    def _listen(self) -> None:
        """Nothing has come: see now and then whether the broker is there at all."""
        if not self._patience.doubtful:
            return
        if self._reader.answers(_PROBE_SECONDS):
            self._patience.calm()
        else:
            self._patience.troubled("no answer")


_TOO_LARGE: Final = Fault(Reason.SHADOW_TOO_LARGE, "the shadow is larger than its topic takes")
# A call after the one that failed the transaction, or the producer, only says that it has.
_FAILED_BEFORE: Final = (KafkaError._STATE, KafkaError._FATAL)
