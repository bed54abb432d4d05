"""The transactions of one worker, driven by the commit rule.

The numbers in the comments are those of the rules in `rule.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from domination.exactly_once.portion import Portion
from domination.exactly_once.ports import CallError, Change, NotYetToldError
from domination.exactly_once.presence import IDLE_SECONDS, LAST_CALL_SECONDS, Presence
from domination.exactly_once.rule import Failure, Step
from domination.exactly_once.tally import Tally
from domination.kafka.faults import RefusedError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from domination.exactly_once.batch import Outcome, Records
    from domination.exactly_once.parts import Parts
    from domination.exactly_once.rule import Position

OFFSETS_SECONDS: Final = (5.0, 8.0)
"""Offsets cannot be sent in slices: a call that ends has failed. The second after trouble."""
ABORT_SECONDS: Final = 0.5
"""The longest that the abort at the end takes; Kafka aborts later what is still open then."""
_CALL_SECONDS: Final = 9.0
"""Less than the producer's own limit for a request (rule 7)."""
_AWAY_CALL_SECONDS: Final = 2.0
"""Of a worker that has left the group: it is to end soon when it is asked to."""
_GAP_SECONDS: Final = 0.004
"""Between two transactions, while Kafka writes the marks of the first.

A partition that is added sooner is put off, for 20 ms that librdkafka has no setting for; so the
gap makes the slowest hundredth of records faster.
"""


class Transactions:
    """Opens, commits, aborts and repairs transactions as the rule wants it."""

    def __init__(self, parts: Parts) -> None:
        self.rule = parts.rule
        self.presence = Presence(parts, self._change)
        self.portion = Portion()
        self._writer = parts.writer
        self._readers = parts.readers
        self._preflight = parts.preflight
        self._availability = parts.availability
        self._observer = parts.observer
        self._clock = parts.clock
        self._stop = parts.stop
        self._log = parts.log
        self._tally = Tally()
        self._begin_due = 0.0

    def wait_for_markers(self) -> None:
        """Wait for what is left of the gap after a commit, if none is open."""
        if not self.rule.open and (gap := self._begin_due - self._clock.now()) > 0:
            self._clock.sleep(gap)

    def step(self) -> Step:
        """Say what to do next."""
        # What has cut the consumer's connection off may have cut the producer's off as well. It is
        # told once, so it is asked first: told later it would be another doubt.
        if self._readers.broken() or self._writer.in_doubt():
            self.rule.doubted()
        return self.rule.step(self._clock.now())

    def take(self, step: Step) -> None:
        """Do a step that needs nothing of the dataflow."""
        if step is Step.COMMIT:
            self._commit()
        elif step is Step.ABORT:
            if self._attempt(self._writer.abort):
                self.rule.aborted()
                self._end("aborted")
        elif step is Step.RENEW:
            doubt = self._writer.in_doubt()
            if self._attempt(self._writer.renew, self.presence.absence.call_seconds):
                self.rule.renewed()
                self._end("unknown")
                if doubt:
                    self._log.info(
                        "a connection broke during a request: renewed the producer's epoch"
                    )
        elif step is Step.REWIND:
            self.presence.come_back() if self.presence.away else self._rewind()

    def emit(
        self, records: Records, positions: Mapping[int, Position], *, drained: bool
    ) -> int | None:
        """Take records into the open transaction; give their ticket, or None where none opens."""
        if not self._begin():
            return None
        ticket = self.rule.emit(positions, self._clock.now())
        self.portion.add(len(records))
        if drained or self.portion.full:
            self.rule.drain()
        self._availability.seen()
        self._tally.read(records)
        return ticket

    def write(self, outcome: Outcome) -> None:
        """Hand what becomes of a batch to the open transaction (rule 2)."""
        try:
            too_large = self._writer.write(outcome)
        except CallError as error:
            if not error.echo:
                self._failed(error)
                return
            # The commit will say why.
            self.rule.drain()
        else:
            self._tally.wrote(outcome, too_large)
        self.rule.arrive()

    def advance_unled(self) -> None:
        """Let the group have the positions that no record leads to (rule 1)."""
        positions = self.presence.reader.take_unled()
        if positions and self._begin():
            self.rule.advance(positions, self._clock.now())
            self.rule.drain()

    def close(self) -> None:
        """Abort what is not committed, at once if the broker answers, and leave the group."""
        self.rule.changed()
        try:
            if self.presence.joined:
                self._observer.closed()
        finally:
            self._writer.close(ABORT_SECONDS)
            self.presence.close()

    def _end(self, outcome: str) -> None:
        if self._tally.records:
            self._observer.ended(outcome)
        self._tally.begin(self._clock.now())

    def _begin(self) -> bool:
        """Open a transaction unless one is open; tell whether one is."""
        if not self.rule.open:
            try:
                self._writer.begin()  # Rule 1.
            except CallError as error:
                self._failed(error)
                return False
            now = self._clock.now()
            self._tally.begin(now)
            self.portion.begin(now)
        return True

    def _commit(self) -> None:
        proof, membership = self.presence.reader.membership()
        if not self.rule.may_commit(membership):
            self._log.info(
                "the group has changed since these records were read: reading them again"
            )
            return
        positions = dict(self.rule.positions)
        if self._send_offsets(proof) and self._attempt(self._writer.commit):
            self.presence.reader.committed(positions)
            self.rule.committed()
            now = self._clock.now()
            self.portion.committed(now)
            self._begin_due = now + _GAP_SECONDS
            self._observer.committed(self._tally.committed(now))
            self._tally.begin(now)
            self._availability.recovered()
            self.presence.committed()

    def _send_offsets(self, proof: object) -> bool:
        seconds = OFFSETS_SECONDS[self._availability.troubled]
        try:
            self._writer.send_offsets(self.rule.positions, proof, seconds)
        except CallError as error:
            self._failed(error)
            return False
        return True

    def _rewind(self) -> None:
        try:
            membership = self.presence.reader.rewind(
                self._availability.call_seconds, again=self.presence.evicted
            )
        except NotYetToldError:
            self.presence.reader.poll(IDLE_SECONDS, 1)
            self.presence.listen()
        except CallError as error:
            # The broker keeps them back while a transaction that wrote them is open.
            if isinstance(error.fault, RefusedError):
                raise error.fault from error
            self._availability.failed(str(error))
        except UnavailableError as error:
            self._availability.failed(error)
        else:
            self.rule.rewound(membership)
            # At once: a first offset is the group's before its first record is written.
            self.advance_unled()

    def _change(self, change: Change) -> None:
        """End the transaction before the assignment changes (rule 5)."""
        try:
            self._observer.changed()
            if change is Change.ORDERLY and self.rule.committable:
                self._commit()
        finally:
            self.rule.changed()

    def _attempt(self, call: Callable[[float], None], most: float = _CALL_SECONDS) -> bool:
        """Make a transactional call until it has an outcome, for a finite time (rules 6, 7)."""
        started = self._clock.now()
        left = most = min(most, _CALL_SECONDS)
        longest = _AWAY_CALL_SECONDS if self.presence.away else most
        while True:
            try:
                call(min(self._availability.call_seconds, left, longest))
            except CallError as error:
                limit = LAST_CALL_SECONDS if self._stop.stopping else most
                left = limit - (self._clock.now() - started)
                if error.retriable and left > 0:
                    continue
                self._failed(error)
                return False
            return True

    def _failed(self, error: CallError) -> None:
        """Tell the rule, and end where trying again cannot help (rule 6)."""
        now, failure = self._clock.now(), error.failure
        if error.too_large:
            self._writer.shrink()
            failure = Failure.UNKNOWN  # Only a new producer has the new limits.
        self.rule.failed(failure, now)
        settled_by_kafka = failure is Failure.FENCED and self.rule.step(now) is not Step.END
        if error.fault and not settled_by_kafka:
            raise self._preflight.named(error.fault) from error
        if failure is not Failure.ABORTABLE:
            self.portion.failed(self._writer.unsent, self._writer.throttled)
            self._writer.discard()
        self.presence.absence.failed(str(error), answered=error.answered)
        self._availability.failed(str(error))
