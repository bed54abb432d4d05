"""What the observer of a session hears, and what becomes of what it raises."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from domination.exactly_once.batch import Fault
from domination.exactly_once.defaults import Quiet
from harness.memory.assembly import Alone
from harness.memory.kafka import Kafka
from harness.memory.line import Fate

if TYPE_CHECKING:
    from domination.exactly_once.ports import Committed

BAD = Fault("bad", "it is bad")


class Heard(Quiet):
    """Keeps what it hears."""

    def __init__(self) -> None:
        self.transactions: list[Committed] = []
        self.outcomes: list[str] = []

    def committed(self, committed: Committed) -> None:
        self.transactions.append(committed)

    def ended(self, outcome: str) -> None:
        self.outcomes.append(outcome)


def commit_one(alone: Alone, columns: dict[str, Any], faults: list[Fault | None]) -> None:
    batch = alone.batch()
    left = batch.reject(faults)
    alone.session.write(left.outcome(left.items, **columns))
    alone.clock.sleep(1.0)
    alone.turn()


def test_the_observer_hears_what_a_transaction_held() -> None:
    heard = Heard()
    alone = Alone(Kafka(), observer=heard)
    commit_one(alone, {"kinds": ["good"]}, [BAD, None])
    committed = heard.transactions[-1]
    assert committed.records == 2
    assert committed.kinds == [["good"]]
    assert committed.rejects == {"bad": 1}
    assert committed.dropped == {}
    assert committed.seconds == pytest.approx(1.0)


def test_the_observer_hears_of_a_transaction_that_is_aborted() -> None:
    heard = Heard()
    alone = Alone(Kafka(), observer=heard)
    alone.session.write(alone.batch())
    alone.clock.sleep(1.0)
    before = len(heard.transactions)
    alone.kafka.group.generation += 1  # Its offsets are refused.
    alone.turn()
    assert heard.outcomes == ["aborted"]
    assert len(heard.transactions) == before


def test_the_observer_hears_of_a_transaction_whose_outcome_is_unknown() -> None:
    heard = Heard()
    alone = Alone(Kafka(), observer=heard)
    alone.session.write(alone.batch())
    alone.clock.sleep(1.0)
    alone.line.fate = Fate("unanswered")
    alone.turn()
    alone.line.fate = Fate(records=1000)
    alone.turn()
    assert heard.outcomes == ["unknown"]


class Raising(Quiet):
    """Raises what it hears of changes and of the end, once it is told to."""

    def __init__(self) -> None:
        self.raises = False

    def changed(self) -> None:
        if self.raises:
            raise ZeroDivisionError

    closed = changed


def test_an_observer_that_raises_at_a_change_does_not_hide_it() -> None:
    observer = Raising()
    alone = Alone(Kafka(), observer=observer)
    alone.session.write(alone.batch())
    observer.raises = True
    alone.kafka.group.rebalance(("a", "nobody"))
    with pytest.raises(ZeroDivisionError):
        alone.work(20)
    assert alone.rule.repairing


def test_an_observer_that_raises_at_the_end_keeps_nobody_from_leaving_the_group() -> None:
    observer = Raising()
    alone = Alone(Kafka(), observer=observer)
    alone.session.write(alone.batch())
    observer.raises = True
    with pytest.raises(ZeroDivisionError):
        alone.session.close()
    assert not alone.kafka.group.members
    assert not [entry for entry in alone.kafka.log if entry.visible is None]
