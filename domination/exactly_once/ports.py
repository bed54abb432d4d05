"""What a session works with: protocols, so that it runs on Kafka and on a model of it alike."""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

from domination.exactly_once.rule import Failure

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence

    from domination.exactly_once.batch import Outcome, Records, Reject
    from domination.exactly_once.rule import Position
    from domination.kafka.faults import FaultError


class Change(Enum):
    """How partitions come or go."""

    ORDERLY = auto()
    """What was read of them may still be committed."""
    LOST = auto()
    """Another member may have them already."""


class CallError(Exception):
    """A call to Kafka has failed; its text says which, and how."""

    def __init__(  # noqa: PLR0913 - most by name
        self,
        message: str,
        failure: Failure = Failure.UNKNOWN,
        fault: FaultError | None = None,
        *,
        answered: bool = False,
        retriable: bool = False,
        too_large: bool = False,
        echo: bool = False,
    ) -> None:
        super().__init__(message)
        self.failure = failure
        self.fault = fault
        """The end that it means for good; None where trying again may help, so never for FENCED."""
        self.answered = answered
        """Whether it is Kafka's own answer, and no word of the client's."""
        self.retriable = retriable
        """Whether the same call may be made again, and goes on then."""
        self.too_large = too_large
        """Whether Kafka has refused a record as too large."""
        self.echo = echo
        """Whether it only says that a call before it has failed."""


class EvictedError(Exception):
    """The group takes this member for another one; the reader is of no more use."""


class NotYetToldError(Exception):
    """The group takes this member for a new one and has not told yet what it reads."""


class Place(NamedTuple):
    """Where a worker is in a partition, in offsets."""

    committed: int
    """The next to commit: the group's own."""
    read: int
    """The next to read."""
    end: int
    """The end of the partition as of the last fetch."""
    timestamp: int = -1
    """That of the last record that this worker has committed, in milliseconds since 1970.

    -1 where it has committed none, or the record has none.
    """


class Lag(NamedTuple):
    """The lag of a worker in a partition."""

    records: int
    """Those that are not committed yet."""
    seconds: float
    """How long the oldest of them has waited; 0 where there is none."""


class Reader(Protocol):
    """A member of a consumer group, on one topic."""

    @property
    def member(self) -> bool:
        """Whether the group has told what this member reads, be it nothing."""

    @property
    def wanted(self) -> int:
        """The most records of the next poll."""

    def subscribe(self) -> None:
        """Join the group."""

    def poll(self, wait: float, most: int) -> tuple[Records | None, Mapping[int, Position]]:
        """Take at most `most` records, waiting up to `wait` seconds for the first.

        Gives the records, and where each of their partitions is to be read on. Calls back where the
        assignment changes. Raises `EvictedError` or a `FaultError`.
        """

    @property
    def at_end(self) -> bool:
        """Whether all that can be read has been."""

    def rewind(self, timeout: float, *, again: bool = False) -> Hashable:
        """Read on from the committed offsets; give the membership under which they were read.

        With `again` `take_unled` gives all of them, to be committed once more.
        Raises `NotYetToldError`, `CallError`, or a `FaultError`.
        """

    def membership(self) -> tuple[Any, Hashable]:
        """Give what a commit has to show, and a value that stays while this is the same member."""

    def take_unled(self) -> Mapping[int, Position]:
        """Give the positions to commit that no record leads to, each once."""

    def committed(self, positions: Mapping[int, Position]) -> None:
        """Note offsets that are the group's now."""

    def places(self) -> Mapping[int, Place]:
        """Give where it is in each partition that it reads."""

    @property
    def reading(self) -> Mapping[int, int]:
        """The offset of the next record of each partition that it reads.

        Any thread may ask at any time, and has the answer at once.
        """

    @property
    def has_partitions(self) -> bool:
        """Whether others would get any if this member left."""

    def is_heard(self, timeout: float) -> bool:
        """Ask the group's coordinator for a sign of life."""

    def leave(self, timeout: float) -> None:
        """Leave the group and close."""

    def close(self, timeout: float) -> None:
        """Close without leaving the group."""


class Readers(Protocol):
    """Makes members of the group, one after the other, and knows how their connections fare."""

    def make(self, changes: Callable[[Change], None]) -> Reader:
        """Make a member, which calls back before its assignment changes."""

    def require_topic(self, now: float) -> None:
        """Raise a `FaultError` where the topic was created again; waits for no answer."""

    def broken(self) -> bool:
        """Tell whether a connection has fallen silent since the last time."""

    def outdated(self) -> str | None:
        """Say how the next member would read otherwise than this one; None if it would not."""


class EndOffsets(Protocol):
    """Who asks for the ends of partitions, and does not wait for the answers."""

    def ask(self, partitions: Iterable[int]) -> None:
        """Ask, unless an answer is still to come."""

    def answers(self) -> Mapping[int, int]:
        """Give what has been answered: how far each partition can be read."""

    def reach(self, timeout: float) -> bool:
        """Ask for a sign of life, and wait for it."""


class Writer(Protocol):
    """A transactional producer under one id; it may be thrown away and made again.

    Each method raises `CallError`; `write` raises `BrokenContractError` too. None blocks much
    longer than its `timeout` in seconds.
    """

    @property
    def unsent(self) -> int:
        """How many records are not known to be at the broker yet."""

    @property
    def throttled(self) -> float:
        """The longest that a broker has throttled the transaction, in seconds."""

    def renew(self, timeout: float) -> None:
        """Make a new producer with the same id, and settle what its last life left open."""

    def in_doubt(self) -> bool:
        """Tell whether a request may reach Kafka after its transaction is over."""

    def begin(self) -> None:
        """Open a transaction."""

    def write(self, outcome: Outcome) -> Sequence[Reject]:
        """Send what becomes of a batch; give the rejects that its too large values became."""

    def send_offsets(self, positions: Mapping[int, Position], proof: Any, timeout: float) -> None:
        """Put the read positions into the transaction; `proof` is what it has to show."""

    def commit(self, timeout: float) -> None:
        """Commit the transaction."""

    def abort(self, timeout: float) -> None:
        """Abort the transaction."""

    def shrink(self) -> None:
        """Send smaller records from the next renewal on."""

    def discard(self) -> None:
        """Throw the producer away, and with it what it has not sent."""

    def close(self, timeout: float) -> None:
        """End; abort an open transaction if the broker answers."""


class Preflight(Protocol):
    """What has to be there before a worker starts."""

    def require(self, timeout: float) -> None:
        """Raise a `FaultError` where topics are missing or nobody answers."""

    def named(self, fault: FaultError) -> FaultError:
        """Name the topic or the right that an error does not tell, if the cluster tells it."""


class Clock(Protocol):
    """Time, as seconds on a clock that only goes forward."""

    def now(self) -> float:
        """Tell the time."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


@runtime_checkable
class Stop(Protocol):
    """Whether the owner wants the work to end."""

    @property
    def stopping(self) -> bool:
        """Whether to drain, commit, leave the group and end."""

    def pause(self, seconds: float) -> None:
        """Wait before a call is tried again, or until the end."""

    @property
    def error(self) -> Exception | None:
        """Why the first worker ended that did not want to."""

    def fail(self, error: Exception) -> None:
        """Note why a worker ends, and let all end."""


class Committed(NamedTuple):
    """What one transaction held."""

    records: int
    """How many were read."""
    kinds: Sequence[Sequence[Any]]
    """Of each batch, `Outcome.kinds`, those of values that were too large left out.

    Nothing of a batch whose outcome says no kinds.
    """
    rejects: Mapping[str, int]
    """Dead letters by reason."""
    dropped: Mapping[str, int]
    """Records that were only counted, by reason."""
    timestamps: Sequence[int]
    """When some of the records were made, in milliseconds since 1970."""
    seconds: float
    """From the begin of the transaction to its commit."""

    @property
    def written(self) -> int:
        """How many values it held, with or without a kind: each other record is a reject."""
        rejects = sum(self.rejects.values()) + sum(self.dropped.values())
        return self.records - rejects


class Observer(Protocol):
    """Gets reports of a session, for metrics, on the thread of its worker.

    An exception that it raises ends the worker.
    """

    def committed(self, committed: Committed) -> None:
        """Report that a transaction has committed."""

    def ended(self, outcome: str) -> None:
        """Report that a transaction with records was `aborted`, or that its end is `unknown`."""

    def behind(self, lag: Mapping[int, Lag]) -> None:
        """Report the lag of each partition, about once a second."""

    def changed(self) -> None:
        """Report that the assignment changes."""

    def closed(self) -> None:
        """Report that the session ends, if it has joined the group."""
