"""The commit rule without one of its sentences, and a driver without one of its habits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domination.transaction import Failure, Step, Transaction
from worker_model import Script, Worker

if TYPE_CHECKING:
    from collections.abc import Hashable


class CommitsInFlight(Transaction):
    """Counts a batch as written as soon as it is emitted (rule 2)."""

    @property
    def in_flight(self) -> int:
        return 0


class SendsStaleBatches(Transaction):
    """Lets batches of an aborted transaction into the next one (rule 6)."""

    def fresh(self, ticket: int) -> bool:
        del ticket
        return True


class NeverRewinds(Transaction):
    """Reads on from where it was after an abort (rule 6)."""

    def aborted(self) -> None:
        super().aborted()
        self.rewound(self._membership)


class KeepsItsPlace(Transaction):
    """Does not go back when its partitions have changed hands (rule 5)."""

    def changed(self) -> None:
        super().changed()
        if self.step(0.0) is Step.REWIND:
            self.rewound(self._membership)


class AnyMembership(Transaction):
    """Commits under another membership than it has read under (rule 5)."""

    def may_commit(self, membership: Hashable) -> bool:
        del membership
        return True


class NeverDoubts(Transaction):
    """Goes on with a producer whose requests may still be under way (rule 6)."""

    def doubted(self) -> None:
        pass


class TrustsATimeout(NeverDoubts):
    """Takes a commit of unknown outcome for an abort, and its producer for good (rule 6)."""

    def failed(self, failure: Failure, now: float) -> None:
        super().failed(failure, now)
        if failure is Failure.UNKNOWN and self.repairing:
            self.renewed()


class AbortsInDoubt(Transaction):
    """Takes an abort for the end of all that was under way (rule 6)."""

    @property
    def _next_repair(self) -> Step | None:
        return self._repair if self._repair is Step.ABORT else super()._next_repair

    def aborted(self) -> None:
        super().aborted()
        self._doubtful = False


class ReadsBeforeItIsTold(Worker):
    """Reads what it had under its last membership as soon as it is a member again."""

    def knows(self, membership: str | None) -> bool:
        del membership
        return True


class DeafInRepair(Worker):
    """Serves callbacks when it polls, and at no other time."""

    def serve_in_repair(self) -> Script:
        yield from ()
