"""One worker's turns: it reads a batch, hands on its outcome, and lets the commit rule go on.

The numbers in the comments are those of the rules in `rule.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from domination.exactly_once.batch import BrokenContractError, Outcome
from domination.exactly_once.ports import EvictedError
from domination.exactly_once.presence import IDLE_SECONDS
from domination.exactly_once.progress import Progress
from domination.exactly_once.rule import Step
from domination.exactly_once.transactions import Transactions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from domination.exactly_once.batch import Batch, Records
    from domination.exactly_once.parts import Parts

STUCK_SECONDS: Final = 30.0
"""A batch that has not reached the sink for so long never will."""
_LAG_SECONDS: Final = 1.0
_CALM_SECONDS: Final = 1.0
"""Without a record for so long there is no work: after a rewind the first takes a moment."""


class Origin(NamedTuple):
    """What a batch carries through the dataflow for the sink: whose it is."""

    session: Session
    ticket: int
    arrived: bool = False
    """Whether the sink has had it: one that comes twice would count for one that is missing."""


class Session:
    """Reads batches, writes their outcome and commits both, exactly once.

    All calls come from the thread of one Bytewax worker. Raises a `FaultError` or a
    `BrokenContractError`; after it the session is of no more use than to be closed.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._transactions = Transactions(parts)
        self._rule = parts.rule
        self._presence = self._transactions.presence
        self._clock = parts.clock
        self._progress = Progress(parts.topic, parts.end_offsets, parts.clock, parts.log)
        self._look_due = 0.0
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
                self._parts.log.info("%s", self._parts.joining)
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

    @property
    def reading(self) -> Mapping[int, int]:
        """The offset of the next record of each partition; asked from another thread."""
        return self._presence.reader.reading

    def write(self, batch: Batch[bytes | None]) -> None:
        """Hand what becomes of a batch to the open transaction (rule 2)."""
        outcome = batch if isinstance(batch, Outcome) else batch.outcome(batch.items)
        origin = self._taken(outcome)
        self._waiting_since = None
        if not self._closed and self._rule.fresh(origin.ticket):
            outcome.check()
            self._transactions.write(outcome)

    def close(self) -> None:
        """Leave the group; what is not committed is aborted, at once if the broker answers."""
        if not self._closed:
            self._closed = True
            self._transactions.close()

    def _taken(self, outcome: Outcome) -> Origin:
        """Take what the sink is given, once; say whose it is."""
        origin = outcome.records.origin
        if not isinstance(origin, Origin):
            raise BrokenContractError(
                "a step made records of its own: give the batch that it got, or "
                "batch.outcome(values)"
            )
        if origin.session is not self:
            raise BrokenContractError(
                "a step has moved a batch to another worker: keep the steps stateless"
            )
        if origin.arrived:
            raise BrokenContractError("a step gave the sink a batch twice")
        outcome.records.origin = origin._replace(arrived=True)
        return origin

    def _look(self) -> None:
        """See now and then how far the worker is, in which topic, and over what kind of a link."""
        if (now := self._clock.now()) < self._look_due:
            return
        self._look_due = now + _LAG_SECONDS
        self._parts.readers.require_topic(now)
        places = self._presence.reader.places()
        self._parts.observer.behind(self._progress.look(places))
        if how := self._parts.readers.outdated():
            self._parts.log.warning("joining again: %s", how)
            self._rule.changed()
            self._presence.replace()

    def _drained(self) -> bool:
        """When asked to stop: end the open transaction once nothing is in flight.

        Where a worker has failed it does not wait: a step may have moved its batch to that worker.
        """
        if not self._parts.stop.stopping:
            return False
        self._rule.drain()
        if self._rule.in_flight:
            return self._parts.stop.error is not None
        while (step := self._transactions.step()) in (Step.COMMIT, Step.ABORT):
            self._transactions.take(step)
        return True

    def _advance(self) -> list[Records]:
        """Take one step, or a commit and the next: whoever waits for Kafka still comes by."""
        step = self._transactions.step()
        if step is Step.COMMIT:
            self._transactions.take(step)
            step = self._transactions.step()
        if step is Step.POLL:
            return self._poll()
        if step is Step.WAIT:
            self._wait()
        elif step is not Step.COMMIT:
            self._presence.reader.poll(0, 1)  # Serves the group; what it brings is read again.
            if step is Step.RENEW:
                self._presence.leave_if_stalled()
            self._transactions.take(step)
        return []

    def _poll(self) -> list[Records]:
        self._transactions.wait_for_markers()
        reader = self._presence.reader
        wanted = self._transactions.portion.next(reader.wanted)
        records, positions = reader.poll(0 if self._rule.open else IDLE_SECONDS, wanted)
        if self._rule.repairing:
            return []  # The assignment has changed; all this is read again (rule 5).
        if not records:
            self._rest()
            return []
        self._idle_since = None
        drained = len(records) < wanted
        ticket = self._transactions.emit(records, positions, drained=drained)
        if ticket is None:
            return []
        records.origin = Origin(self, ticket)
        if records.fault:
            self.write(records.reject([records.fault] * len(records)).outcome([]))
            return []
        return [records]

    def _rest(self) -> None:
        """Nothing has come: commit what is open, and see whether the broker is there at all."""
        self._rule.drain()
        now = self._clock.now()
        self._idle_since = self._idle_since or now
        idle = now - self._idle_since
        # What comes soon takes these positions along.
        if self._rule.open or idle >= self._parts.commit_interval:
            self._transactions.advance_unled()
        if not self._rule.open and idle >= _CALM_SECONDS:
            self._presence.absence.progressed()
        self._presence.listen()

    def _wait(self) -> None:
        """Wait for batches in flight, but not for ever (rule 3)."""
        now = self._clock.now()
        self._waiting_since = self._waiting_since or now
        if now - self._waiting_since > STUCK_SECONDS:
            raise BrokenContractError(
                "a batch has not reached the sink: a step drops or keeps batches"
            )
