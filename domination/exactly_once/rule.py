"""The commit rule: when a worker may poll, and when it must commit, abort, renew or go back.

A state machine without input or output. Its driver (`transactions.py`) asks `step()` what to do
next, does it, and reports the result. Code and docs use the same numbers for these rules.

1. A transaction opens with the first records of a poll. It also opens without records, when an
   offset must be committed: the first offset of a partition that has none, the offset behind
   transaction markers, or, after an eviction from the group, the committed offset once more.
2. `emitted` counts the batches handed to the dataflow, `written` the batches that reached the sink.
   Each batch arrives once, whole. So nothing is in flight when the two counts are equal.
3. A commit is due when the input is drained or the commit interval has passed. While a commit is
   due and something is in flight, the source yields nothing.
4. To commit, the worker adds its positions to the transaction, with the group membership under
   which it read them. Then it commits. A position has the leader epoch of its record, so that the
   worker notices when a log was cut back.
5. Before the assignment changes, the transaction ends: it commits if nothing is in flight, and
   aborts otherwise. It also aborts when partitions are lost, or when the membership has changed
   since the worker last read the committed offsets: another worker may own the partitions already.
   In every case the consumer then goes back to the committed offsets, and the records of that poll
   are discarded. It goes back only after the group has told this member its partitions.
6. The worker aborts a transaction that Kafka refuses. When the outcome of a transaction is unknown,
   the worker discards the producer instead, and a new producer with the same transactional id
   settles the transaction. Either way the consumer goes back to the committed offsets. Batches that
   are still in flight are stale, and the sink drops them. A fenced worker ends: another worker has
   its transactional id, and it must never write again. But Kafka itself fences a transaction that
   was open past the transaction time-out: its outcome is unknown. A request is in doubt when its
   connection broke, or its time ran out, before its answer came. The client sends it again, and the
   first copy may reach Kafka later, in the middle of another transaction. So after a doubt the
   worker renews the producer before it opens a transaction. The renewal raises the producer's
   epoch, and Kafka refuses a copy that comes late.
7. Every call of the driver has a finite time limit, shorter than the client's own. When a call
   reaches the limit, its outcome is unknown.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping


class Position(NamedTuple):
    """Where to read on in a partition."""

    offset: int
    """That of the next record to read."""
    leader_epoch: int = -1
    """That of the last record read; -1 where no record leads here, or Kafka has not told it."""
    timestamp: int = -1
    """That of the last record read, in milliseconds since 1970; -1 where there is none."""


class Step(Enum):
    """What the driver has to do next."""

    POLL = auto()
    """Take records from the consumer and hand them on; report `emit`, `advance` or `drain`."""
    WAIT = auto()
    """Hand nothing on: a commit is due and batches are in flight (rule 3)."""
    COMMIT = auto()
    """Ask `may_commit`, send `positions`, commit (rules 4, 5); report `committed` or `failed`."""
    ABORT = auto()
    """Abort the transaction (rule 6); report `aborted` or `failed`."""
    RENEW = auto()
    """Make a new producer with the same transactional id (rule 6); report `renewed` or `failed`."""
    REWIND = auto()
    """Move the consumer back to the committed offsets (rules 5, 6); report `rewound`."""
    END = auto()
    """Fenced: write nothing more, ever (rule 6)."""


class Failure(Enum):
    """How a transactional call failed, as far as the rule is concerned."""

    ABORTABLE = auto()
    """Kafka has refused a request and asks for an abort; nothing of the transaction is seen."""
    UNKNOWN = auto()
    """A time-out, a broken connection, or anything else: it may have committed or not."""
    FENCED = auto()
    """The transactional id is another's, or Kafka has ended a transaction that was too old."""


class Transaction:
    """One worker's position in the commit rule.

    Partitions are numbers of the one input topic; times are seconds on any clock that only goes
    forward; a membership is any value that changes when Kafka may have taken this member for gone.
    """

    def __init__(self, commit_interval: float, transaction_timeout: float) -> None:
        self._interval = commit_interval
        self._timeout = transaction_timeout
        # A new worker starts as a broken one recovers: its producer settles what an earlier
        # life left open, then it goes to the committed offsets.
        self._repair: Step | None = Step.RENEW
        self._doubtful = False
        self._membership: Hashable = None
        self._positions: dict[int, Position] = {}
        self._opened: float | None = None
        self._commit_due = 0.0
        self._emitted = 0
        self._written = 0
        self._attempt = 0

    @property
    def positions(self) -> Mapping[int, Position]:
        """For each partition read in the open transaction, the position to commit."""
        return self._positions

    @property
    def open(self) -> bool:
        """Whether a transaction is open and may still commit."""
        return bool(self._positions)

    @property
    def in_flight(self) -> int:
        """Batches handed to the dataflow that have not reached the sink."""
        return self._emitted - self._written

    @property
    def repairing(self) -> bool:
        """Whether nothing that is read now may be handed on: it will be read again."""
        return self._next_repair is not None

    @property
    def _next_repair(self) -> Step | None:
        if self._doubtful and not self.open and self._repair is not Step.END:
            return Step.RENEW
        return self._repair

    def step(self, now: float) -> Step:
        """Say what to do next."""
        if repair := self._next_repair:
            return repair
        if not self.open or now < self._commit_due:
            return Step.POLL
        return Step.WAIT if self.in_flight else Step.COMMIT

    def emit(self, positions: Mapping[int, Position], now: float) -> int:
        """Count a batch that goes to the dataflow, read up to `positions` (rules 1, 2).

        Returns the ticket that the batch shows at the sink.
        """
        self.advance(positions, now)
        self._emitted += 1
        return self._attempt

    def advance(self, positions: Mapping[int, Position], now: float) -> None:
        """Move on to positions that no record of a batch leads to (rule 1)."""
        if not self.open:
            self._opened = now
            self._commit_due = now + self._interval
        self._positions.update(positions)

    def drain(self) -> None:
        """Note that the input holds no more for now: an open transaction is due (rule 3)."""
        self._commit_due = float("-inf")

    def fresh(self, ticket: int) -> bool:
        """Tell whether a batch is of the open transaction; the sink drops any other (rule 6)."""
        return ticket == self._attempt and not self.repairing

    def arrive(self) -> None:
        """Count a fresh batch that the sink has handed to the producer (rule 2)."""
        self._written += 1

    @property
    def committable(self) -> bool:
        """Whether a transaction is open, whole and unharmed (rules 2, 5)."""
        return self.open and not self.in_flight and not self.repairing

    def may_commit(self, membership: Hashable) -> bool:
        """Tell whether this is still the membership of the records read; if not, abort (rule 5)."""
        if membership != self._membership:
            self.changed()
        return membership == self._membership

    def doubted(self) -> None:
        """Note that a request may still be under way when its transaction is over (rule 6)."""
        self._doubtful = True

    def changed(self) -> None:
        """Note that the assignment changes; what was `committable` has been committed (rule 5)."""
        if not self._repair:
            self._close(Step.ABORT if self.open else Step.REWIND)

    def committed(self) -> None:
        """Note that the transaction has committed: its positions are the group's (rule 4)."""
        self._opened = None
        self._close(None)

    def aborted(self) -> None:
        """Note that the transaction has been aborted (rule 6)."""
        self._opened = None
        self._close(Step.REWIND)

    def renewed(self) -> None:
        """Note that a new producer has settled the last transaction, either way (rule 6)."""
        self._opened = None
        self._doubtful = False
        self._close(Step.REWIND)

    def rewound(self, membership: Hashable) -> None:
        """Note that the consumer stands at the committed offsets (rules 5, 6).

        `membership` is the one that was valid before they were asked for.
        """
        self._membership = membership
        self._close(None)

    def failed(self, failure: Failure, now: float) -> None:
        """Note that a transactional call failed (rule 6)."""
        timed_out = self._opened is not None and now - self._opened >= self._timeout
        if failure is Failure.FENCED and not timed_out:
            self._close(Step.END)
        elif failure is Failure.ABORTABLE and self._repair is None:
            self._close(Step.ABORT)
        else:
            # What fails while a failure is being repaired leaves nothing to trust.
            self._close(Step.RENEW)

    def _close(self, repair: Step | None) -> None:
        if self._repair is Step.END:
            return
        self._repair = repair
        self._positions.clear()
        self._emitted = self._written = 0
        self._attempt += 1
