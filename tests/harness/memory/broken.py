"""The commit rule without one of its rules, and a reader or a writer without one of its habits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domination.exactly_once.rule import Failure, Step, Transaction
from harness.memory.reader import MemoryReader
from harness.memory.writer import MemoryWriter

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


class _Remembers(Transaction):
    """Knows the membership of the last rewind."""

    membership: Hashable = None

    def rewound(self, membership: Hashable) -> None:
        super().rewound(membership)
        self.membership = membership


class NeverRewinds(_Remembers):
    """Reads on from where it was after an abort (rule 6)."""

    def aborted(self) -> None:
        super().aborted()
        self.rewound(self.membership)


class KeepsItsPlace(_Remembers):
    """Does not go back when its partitions have changed hands (rule 5)."""

    def changed(self) -> None:
        super().changed()
        if self.step(0.0) is Step.REWIND:
            self.rewound(self.membership)


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
    """Takes a commit of unknown outcome for an abort (rule 6)."""

    def failed(self, failure: Failure, now: float) -> None:
        super().failed(failure, now)
        if failure is Failure.UNKNOWN and self.repairing:
            self.renewed()


class AbortsInDoubt(NeverDoubts):
    """Takes an abort for the end of all that was under way (rule 6)."""

    doubt = trusting = False

    def doubted(self) -> None:
        self.doubt = not self.trusting

    def step(self, now: float) -> Step:
        step = super().step(now)
        doubtful = self.doubt and not self.open and step is not Step.ABORT
        return Step.RENEW if doubtful else step

    def aborted(self) -> None:
        super().aborted()
        self.doubt, self.trusting = False, True

    def renewed(self) -> None:
        super().renewed()
        self.doubt = self.trusting = False


class ReadsBeforeItIsTold(MemoryReader):
    """Reads what it had under its last membership as soon as it is a member again."""

    @property
    def told(self) -> bool:
        return True


class DeafInRepair(MemoryReader):
    """Serves callbacks when its owner wants records, and at no other time."""

    def hears(self, most: int) -> bool:
        return most > 1


class ReadsOn(MemoryReader):
    """Looks up the committed offsets, and reads on from where it was."""

    def rewind(self, timeout: float, *, again: bool = False) -> Hashable:
        fresh = not self.places()
        return super().rewind(timeout, again=again) if fresh else self.membership()[1]


class ForgetsDoubt(MemoryWriter):
    """Takes a call that has succeeded for one without a doubt."""

    def in_doubt(self) -> bool:
        return False
