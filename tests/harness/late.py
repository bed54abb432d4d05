"""Requests that reach the broker late: the scenario, and the table of what became of them.

A round holds one request back and breaks its connection. The client sends it again, and goes on.
Once the same producer has the next transaction open the first copy is delivered.
"""

from __future__ import annotations

import signal
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from harness.kafka_frames import FENCED
from harness.world import SESSION_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from harness.kafka_frames import Request
    from harness.kafka_proxy import KafkaProxy
    from harness.trial import Result, Trial

NAME: Final = "late request"
COMMIT: Final = "EndTxn, commit"
ABORT: Final = "EndTxn, abort"
KINDS: Final[dict[str, Callable[[Request], bool]]] = {
    COMMIT: lambda request: request.committed is True,
    ABORT: lambda request: request.committed is False,
    "TxnOffsetCommit": lambda request: request.name == "TxnOffsetCommit",
    "Produce": lambda request: request.name == "Produce",
    # Of those that use no transactions.
    "OffsetCommit": lambda request: request.name == "OffsetCommit",
}
RECORDS: Final = "records"
OFFSETS: Final = "offsets"
_POINTS: Final = {RECORDS: ("EndTxn",), OFFSETS: ("AddOffsetsToTxn", "TxnOffsetCommit", "EndTxn")}
"""When in the next transaction the held copy comes, and the requests that wait for it.

Either soon after the first record is sent, or when all records are there and no offset is yet.
"""
# Aborts are rare: in their rounds a worker is frozen until the group has evicted it.
_TURNS: Final = (
    *((kind, RECORDS) for kind in (COMMIT, "TxnOffsetCommit", "Produce", COMMIT, ABORT)),
    *((kind, OFFSETS) for kind in (COMMIT, "TxnOffsetCommit", "Produce", ABORT, COMMIT, ABORT)),
)
_CATCH_SECONDS: Final = 5.0
# Where sending offsets hangs, the transaction lives until the worker gives up.
_END_SECONDS: Final = 7.0
_LATE_SECONDS: Final = 2.0
_TICK_SECONDS: Final = 0.01
# Of a transaction that is open. Faust's have no records.
_SIGNS: Final = ("Produce", "TxnOffsetCommit")


@dataclass(frozen=True)
class Delivery:
    """A request that came late."""

    kind: str
    how: str
    """How its connection broke."""
    point: str
    seconds: float
    """When it came, in Unix time."""
    producer: int
    epoch: int
    mid_transaction: bool
    """Whether the next transaction was open; else that did not come in time."""
    error: int
    """The broker's answer."""


class Round:
    """Holds one request of a kind, and knows when its producer has the next transaction open."""

    def __init__(self, proxy: KafkaProxy, kind: str, how: str, point: str = RECORDS) -> None:
        self._proxy = proxy
        self._over = False
        self._name = kind.partition(",")[0]
        self._held = proxy.hold(
            self._name, how, where=lambda each: not self._over and KINDS[kind](each)
        )
        self._waiting = [proxy.stall(name, where=self._in_next) for name in _POINTS[point]]
        self._point = point

    @property
    def first(self) -> Request | None:
        """The copy that is held."""
        return self._held.caught and self._held.caught[0]

    def ended(self) -> Request | None:
        """Find the end of the held request's transaction; without any its second copy."""
        closing = "EndTxn" if self.first and self.first.transactional_id else self._name
        return next(
            (each for each in self._own() if each.name == closing and each.error == 0), None
        )

    def next_sign(self) -> Request | None:
        """Find the first record, or offset, that the producer sends after that."""
        wanted = _SIGNS if self.first and self.first.producer >= 0 else (self._name,)
        ended = self.ended()
        own = (each for each in self._own() if each.name in wanted)
        return next((each for each in own if ended and each.number > ended.number), None)

    def due(self) -> Request | None:
        """Find the request of the next transaction that makes it time to deliver."""
        if self._point == RECORDS:
            return self.next_sign()
        return next((each.caught[0] for each in self._waiting if each.caught), None)

    def deliver(self) -> int:
        """Send the held copy; give the broker's error code."""
        try:
            return self._held.deliver()
        finally:
            self.end()

    def end(self) -> None:
        """Hold nothing any more."""
        self._over = True
        for each in self._waiting:
            each.release()

    def _own(self) -> list[Request]:
        """Give what the producer has sent since."""
        if not (first := self.first):
            return []
        later = self._proxy.requests[first.number + 1 :]
        return [each for each in later if each.producer == first.producer]

    def _in_next(self, request: Request) -> bool:
        produced = None if self._over else self.next_sign()
        return bool(produced and request.producer == produced.producer)


def late(trial: Trial) -> None:
    """Let some ten requests come late, of each kind in turn."""
    trial.rest(3)  # Until each kind has been seen.
    for kind, point in _TURNS:
        _round(trial, _kind(trial, kind), point)
        trial.rest(trial.chance.uniform(0.5, 2))


def _kind(trial: Trial, kind: str) -> str:
    """Give this kind, or for a contender without transactions one that it has."""
    assert trial.proxy
    known = {each.name for each in list(trial.proxy.requests)}
    if "EndTxn" in known:
        return kind
    return "OffsetCommit" if kind == "TxnOffsetCommit" and "OffsetCommit" in known else "Produce"


def _round(trial: Trial, kind: str, point: str) -> None:
    assert trial.proxy
    how = trial.chance.choice(("rst", "fin"))
    ours = Round(trial.proxy, kind, how, point)
    try:
        if kind == ABORT:
            _evict(trial)
        if not _until(trial, lambda: ours.first, _CATCH_SECONDS):
            return
        assert ours.first
        _until(trial, ours.ended, _END_SECONDS)
        _until(trial, ours.due, _LATE_SECONDS)
        # Once the offsets wait the records that are under way arrive.
        trial.rest(0.1 if point == OFFSETS else trial.chance.uniform(0, 0.08))
        which = ours.first.producer, ours.first.epoch, ours.next_sign() is not None
        trial.late.append(Delivery(kind, how, point, time.time(), *which, ours.deliver()))
    finally:
        ours.end()


def _evict(trial: Trial) -> None:
    """Freeze a worker past its session, and wake it."""
    frozen = trial.workers[trial.some()].process
    frozen.send_signal(signal.SIGSTOP)
    trial.rest(SESSION_SECONDS + 1.5)
    frozen.send_signal(signal.SIGCONT)


def _until(trial: Trial, found: Callable[[], Request | None], seconds: float) -> bool:
    """Wait for a request; tell whether it has come in time."""
    for _ in range(int(seconds / _TICK_SECONDS)):
        if found():
            return True
        trial.rest(_TICK_SECONDS)
    return False


def fate(error: int) -> str:
    """Say what an error code means for a request that came late."""
    if error == 0:
        return "accepted"
    return "fenced" if error in FENCED else f"refused with {error}"


def on_the_wire(requests: Iterable[Request]) -> dict[str, str]:
    """Say for each kind which versions were seen, in how many epochs of how many producers."""
    seen: dict[str, list[Request]] = {}
    for each in requests:
        if each.name in ("EndTxn", "TxnOffsetCommit", "Produce", "OffsetCommit"):
            seen.setdefault(each.name, []).append(each)
    return {name: _describe(each) for name, each in seen.items()}


def _describe(requests: Sequence[Request]) -> str:
    outside = sum(each.transactional_id is None for each in requests)
    versions = ", ".join(f"v{version}" for version in sorted({each.version for each in requests}))
    epochs = len({(each.producer, each.epoch) for each in requests})
    producers = len({each.producer for each in requests})
    told = f"{versions}: {len(requests):,} in {epochs:,} epochs of {producers} producers"
    return told + (f", {outside:,} without a transactional id" if outside else "")


def table(results: Iterable[Result]) -> str:
    """Write a Markdown table: contenders by kinds, what became of requests that came late."""
    found: dict[str, list[Delivery]] = {}
    for each in results:
        if each.scenario == NAME:
            found.setdefault(each.contender, []).extend(each.late)
    kinds = [
        kind for kind in KINDS if any(kind == each.kind for own in found.values() for each in own)
    ]
    rows = [["late requests", *kinds], ["---"] * (len(kinds) + 1)]
    for name, own in found.items():
        rows.append([name, *(_cell([each for each in own if each.kind == kind]) for kind in kinds)])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _cell(deliveries: Sequence[Delivery]) -> str:
    fates = Counter(fate(each.error) for each in deliveries)
    outside = sum(not each.mid_transaction for each in deliveries)
    told = [f"{count} {what}" for what, count in fates.items()]
    return ", ".join(told) + (f" ({outside} outside a transaction)" if outside else "")
