"""The way between a client and Kafka, and what may happen to a request on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from harness.memory.requests import Answer

if TYPE_CHECKING:
    from harness.memory.kafka import Kafka
    from harness.memory.requests import Request


class Fate(NamedTuple):
    """How it goes when a worker acts."""

    outcome: str = "ok"
    """What becomes of a request:

    ok; refused; again: sent twice, and one arrives later; disputed: sent twice, one is refused and
    one arrives later; slow: it arrives, and the call may be made again; unanswered: it arrives, and
    the answer does not; later: it arrives after the client has given up; never.
    """
    records: int = 2
    """How many records a poll brings."""
    told: bool = True
    """Whether a poll serves a callback that waits."""


class Reply(NamedTuple):
    """What the client hears."""

    answer: Answer
    doubt: bool = False
    """Whether a copy of the request may still be under way."""


class Line(Protocol):
    """A client's connection."""

    @property
    def fate(self) -> Fate:
        """How the next poll goes."""

    def send(self, request: Request) -> Reply:
        """Bring a request to Kafka, and its answer back."""

    def hears(self) -> bool:
        """Tell whether an answer that changes nothing comes back."""


class Sound:
    """A line on which all goes well, or as it is told."""

    def __init__(self, kafka: Kafka, fate: Fate = Fate(records=1000)) -> None:  # noqa: B008 - a value
        self.kafka = kafka
        self.fate = fate

    def send(self, request: Request) -> Reply:
        return carry(self.kafka, request, self.fate.outcome)

    def hears(self) -> bool:
        return heard(self.fate.outcome)


def heard(outcome: str) -> bool:
    return outcome in {"ok", "again"}


def carry(kafka: Kafka, request: Request, outcome: str) -> Reply:
    """Bring a request to Kafka, and its answer back, as far as the outcome allows."""
    if outcome == "refused":
        return Reply(Answer.REFUSED)
    doubt = outcome not in {"ok", "slow"}
    if outcome in {"later", "again", "disputed"}:
        kafka.wire.append(request)
    if outcome == "disputed":
        return Reply(Answer.REFUSED, doubt)
    if outcome in {"later", "never"}:
        return Reply(Answer.NONE, doubt)
    answer = kafka.receive(request)
    lost = {"unanswered": Answer.NONE, "slow": Answer.SLOW}
    return Reply(lost.get(outcome, answer), doubt)
