"""One worker's membership and transactions, driven by the commit rule.

The numbers in the comments are those of the rules in `rule.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from domination.exactly_once.batch import BrokenContractError, Outcome
from domination.exactly_once.portion import Portion
from domination.exactly_once.ports import CallError, Change, EvictedError, NotYetToldError
from domination.exactly_once.presence import LAST_CALL_SECONDS, Presence
from domination.exactly_once.progress import Progress
from domination.exactly_once.rule import Failure, Step
from domination.exactly_once.tally import Tally
from domination.kafka.faults import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from domination.exactly_once.batch import Batch, Records
    from domination.exactly_once.parts import Parts
    from domination.exactly_once.ports import Reader
    from domination.exactly_once.rule import Position

_IDLE_SECONDS: Final = 0.1
OFFSETS_SECONDS: Final = (5.0, 8.0)
"""Offsets cannot be sent in slices: a call that ends has failed. The second after trouble."""
_PROBE_SECONDS: Final = 2.0
_CALL_SECONDS: Final = 9.0
"""Less than the producer's own limit for a request (rule 7)."""
ABORT_SECONDS: Final = 0.5
STUCK_SECONDS: Final = 30.0
_LAG_SECONDS: Final = 1.0
_CALM_SECONDS: Final = 1.0
"""Without a record for so long there is no work: after a rewind the first takes a moment."""
_AWAY_CALL_SECONDS: Final = 2.0
"""Of a worker that has left the group: it is to end soon when it is asked to."""
_GAP_SECONDS: Final = 0.004
"""Between two transactions, while Kafka writes the marks of the first.

A partition that is added sooner is put off, for 20 ms that librdkafka has no setting for; so the
gap makes the slowest hundredth of records faster.
"""


class Origin(NamedTuple):
    """What a batch carries through the dataflow for the sink: whose it is."""

    session: Session
    ticket: int


class Session:
    """Reads batches, writes their outcome and commits both, exactly once.

    All calls come from the thread of one Bytewax worker. Raises a `FaultError` or a
    `BrokenContractError`; after it the session is of no more use than to be closed.
    """

    def __init__(self, parts: Parts) -> None:
        self._rule = parts.rule
        self._writer = parts.writer
        self._preflight = parts.preflight
        self._readers = parts.readers
        self._ends = parts.ends
        self._availability = parts.availability
        self._observer = parts.observer
        self._clock = parts.clock
        self._stop = parts.stop
        self._log = parts.log
        self._commit_interval = parts.commit_interval
        self._joining = parts.joining
        self._presence = Presence(parts, self._change)
        self._progress = Progress(parts.topic, parts.ends, parts.clock, parts.log)
        self._tally = Tally()
        self._portion = Portion()
        self._lag_due = 0.0
        self._begin_due = 0.0
        self._idle_since: float | None = None
        self._waiting_since: float | None = None
        self._closed = False
        self.turned = self._clock.now()
        """When the worker last came by, to see that it still does."""

    def next_batch(self) -> list[Records] | None:
        """Do what the commit rule asks for until there is a batch, or time to let others work.

        None is the end: the worker has been asked to stop and nothing is in flight, or its sink
        has failed.
        """
        self.turned = self._clock.now()
        if self._closed or self._drained():
            return None
        if not self._presence.joined:
            if self._presence.join():
                self._log.info("%s", self._joining)
            return []
        self._look()
        try:
            return self._advance()
        except EvictedError as error:
            self._rule.changed()
            self._presence.rejoin(error)
            return []

    @property
    def unready(self) -> str | None:
        """Say why it does no work yet, or none at the moment; asked from another thread."""
        repairing = "is repairing its transaction" if self._rule.repairing else None
        return self._presence.lacking or repairing

    def write(self, batch: Batch[bytes | None]) -> None:
        """Hand what becomes of a batch to the open transaction (rule 2)."""
        outcome = batch if isinstance(batch, Outcome) else batch.outcome(batch.items)
        origin = self._origin(outcome)
        self._waiting_since = None
        if self._closed or not self._rule.fresh(origin.ticket):
            return
        outcome.check()
        try:
            too_large = self._writer.write(outcome)
        except CallError as error:
            if not error.echo:
                self._failed(error)
                return
            # The commit will say why.
            self._rule.drain()
        else:
            self._tally.wrote(outcome, too_large)
        self._rule.arrive()

    def close(self) -> None:
        """Leave the group; what is not committed is aborted, at once if the broker answers."""
        if self._closed:
            return
        self._closed = True
        self._rule.changed()
        if self._presence.joined:
            self._observer.closed()
        self._writer.close(ABORT_SECONDS)
        self._presence.close()

    @property
    def _reader(self) -> Reader:
        return self._presence.reader

    def _origin(self, outcome: Outcome) -> Origin:
        origin = outcome.records.origin
        if not isinstance(origin, Origin):
            raise BrokenContractError("a step made records of its own: give the sink those it read")
        if origin.session is not self:
            raise BrokenContractError(
                "a step has moved a batch to another worker: keep the steps stateless"
            )
        return origin

    def _look(self) -> None:
        """See now and then how far the worker is, and over what kind of a link."""
        if (now := self._clock.now()) < self._lag_due:
            return
        self._lag_due = now + _LAG_SECONDS
        self._observer.behind(self._progress.look(self._reader.places()))
        if how := self._readers.outdated():
            self._log.warning("joining again: %s", how)
            self._rule.changed()
            self._presence.replace()

    def _drained(self) -> bool:
        """When asked to stop: end the open transaction once nothing is in flight."""
        if not self._stop.stopping:
            return False
        self._rule.drain()
        if self._rule.in_flight:
            return False
        while (step := self._next_step()) in (Step.COMMIT, Step.ABORT):
            self._take(step)
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
            self._reader.poll(0, 1)  # Serves the group; what it brings is read again.
            if step is Step.RENEW and self._presence.absence.due:
                self._presence.leave()
            self._take(step)
        return []

    def _next_step(self) -> Step:
        # What has cut the consumer's connection off may have cut the producer's off as well.
        if self._writer.in_doubt() or self._readers.broken():
            self._rule.doubted()
        return self._rule.step(self._clock.now())

    def _take(self, step: Step) -> None:
        if step is Step.COMMIT:
            self._commit()
        elif step is Step.ABORT:
            if self._attempt(self._writer.abort):
                self._rule.aborted()
                self._end("aborted")
        elif step is Step.RENEW:
            doubt = self._writer.in_doubt()
            if self._attempt(self._writer.renew):
                self._rule.renewed()
                self._end("unknown")
                if doubt:
                    self._log.info("a connection broke on a request: renewed the producer's epoch")
        elif step is Step.REWIND:
            self._presence.come_back() if self._presence.away else self._rewind()

    def _end(self, outcome: str) -> None:
        if self._tally.records:
            self._observer.ended(outcome)
        self._tally.begin(self._clock.now())

    def _poll(self) -> list[Records]:
        if not self._rule.open and (gap := self._begin_due - self._clock.now()) > 0:
            self._clock.sleep(gap)
        wanted = self._portion.next(self._reader.wanted)
        wait = 0 if self._rule.open else _IDLE_SECONDS
        records, positions = self._reader.poll(wait, wanted)
        if self._rule.repairing:
            return []  # The assignment has changed; all this is read again (rule 5).
        if records:
            self._idle_since = None
            return self._emit(records, positions, drained=len(records) < wanted)
        self._rule.drain()
        now = self._clock.now()
        self._idle_since = self._idle_since or now
        # What comes soon takes these positions along.
        if self._rule.open or now - self._idle_since >= self._commit_interval:
            self._advance_unled()
        if not self._rule.open and now - self._idle_since >= _CALM_SECONDS:
            self._presence.absence.progressed()
        self._listen()
        return []

    def _advance_unled(self) -> None:
        """Let the group have the positions that no record leads to (rule 1)."""
        positions = self._reader.take_unled()
        if positions and self._begin():
            self._rule.advance(positions, self._clock.now())
            self._rule.drain()

    def _begin(self) -> bool:
        """Open a transaction unless one is open; tell whether one is."""
        if not self._rule.open:
            try:
                self._writer.begin()  # Rule 1.
            except CallError as error:
                self._failed(error)
                return False
            now = self._clock.now()
            self._tally.begin(now)
            self._portion.begin(now)
        return True

    def _emit(
        self, records: Records, positions: Mapping[int, Position], *, drained: bool
    ) -> list[Records]:
        if not self._begin():
            return []
        records.origin = Origin(self, self._rule.emit(positions, self._clock.now()))
        self._portion.add(len(records))
        if drained or self._portion.full:
            self._rule.drain()
        self._availability.seen()
        self._tally.read(records)
        return [records]

    def _commit(self) -> None:
        member, membership = self._reader.membership()
        if not self._rule.may_commit(membership):
            self._log.info("the group has changed since these records were read: read them again")
            return
        positions = dict(self._rule.positions)
        if self._send_offsets(member) and self._attempt(self._writer.commit):
            self._reader.committed(positions)
            self._rule.committed()
            now = self._clock.now()
            self._portion.committed(now)
            self._begin_due = now + _GAP_SECONDS
            self._observer.committed(self._tally.committed(now))
            self._tally.begin(now)
            self._availability.recovered()
            self._presence.progressed()

    def _send_offsets(self, member: object) -> bool:
        seconds = OFFSETS_SECONDS[self._availability.troubled]
        try:
            self._writer.send_offsets(self._rule.positions, member, seconds)
        except CallError as error:
            self._failed(error)
            return False
        return True

    def _rewind(self) -> None:
        try:
            membership = self._reader.rewind(
                self._availability.call_seconds, again=self._presence.evicted
            )
        except NotYetToldError:
            self._reader.poll(_IDLE_SECONDS, 1)
            self._listen()
        except CallError as error:
            # The broker keeps them back while a transaction that wrote them is open.
            if isinstance(error.fault, RefusedError):
                raise error.fault from error
            self._availability.failed(str(error))
        else:
            self._rule.rewound(membership)
            # At once: a first offset is the group's before its first record is written.
            self._advance_unled()

    def _change(self, change: Change) -> None:
        """End the transaction before the assignment changes (rule 5)."""
        self._observer.changed()
        try:
            if change is Change.ORDERLY and self._rule.committable:
                self._commit()
        finally:
            self._rule.changed()

    def _attempt(self, call: Callable[[float], None]) -> bool:
        """Make a transactional call until it has an outcome, for a finite time (rules 6, 7)."""
        started = self._clock.now()
        longest = left = min(_CALL_SECONDS, self._presence.absence.call_seconds)
        while True:
            most = _AWAY_CALL_SECONDS if self._presence.away else left
            try:
                call(min(self._availability.call_seconds, left, most))
            except CallError as error:
                limit = LAST_CALL_SECONDS if self._stop.stopping else longest
                left = limit - (self._clock.now() - started)
                if error.retriable and left > 0:
                    continue
                self._failed(error)
                return False
            return True

    def _failed(self, error: CallError) -> None:
        """Tell the rule, and end where trying again cannot help (rule 6)."""
        now = self._clock.now()
        if error.too_large:
            self._writer.shrink()  # Only a new producer has the new limits.
        self._rule.failed(error.failure, now)
        settled_by_kafka = error.failure is Failure.FENCED and self._rule.step(now) is not Step.END
        if error.fault and not settled_by_kafka:
            raise self._preflight.named(error.fault) from error
        if error.failure is not Failure.ABORTABLE:
            self._portion.failed(self._writer.unsent, self._writer.throttled)
            self._writer.discard()
        self._presence.absence.failed(str(error))
        self._availability.failed(str(error))

    def _wait(self) -> None:
        """Wait for batches in flight, but not for ever (rule 3)."""
        now = self._clock.now()
        self._waiting_since = self._waiting_since or now
        if now - self._waiting_since > STUCK_SECONDS:
            raise BrokenContractError(
                "not each batch has reached the sink once: a step drops, keeps or repeats batches"
            )

    def _listen(self) -> None:
        """Nothing has come: see now and then whether the broker is there at all."""
        if not self._availability.probe_due:
            return
        if self._ends.reach(_PROBE_SECONDS):
            self._availability.answered(at_end=self._reader.at_end)
        else:
            self._availability.failed("no answer")
