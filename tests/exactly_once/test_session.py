"""What a session does with steps that break their contract, with failures, and when it ends."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

from domination.exactly_once.batch import BrokenContractError, Fault, Outcome, Records, Reject
from domination.exactly_once.errors import GaveUpError, MadeAgainError
from domination.exactly_once.ports import CallError
from domination.exactly_once.session import STUCK_SECONDS
from domination.kafka.faults import (
    FencedError,
    MissingError,
    UnavailableError,
)
from harness.memory.assembly import DEAD_LETTERS, OUTPUT, Alone, Kinds
from harness.memory.kafka import Kafka
from harness.memory.line import Fate
from harness.memory.owner import Ready
from harness.memory.writer import MemoryWriter

if TYPE_CHECKING:
    from collections.abc import Callable


BAD = Fault("bad", "it is bad")


def values(batch: Records) -> Outcome:
    return batch.outcome(batch.values)


BREACHES: dict[str, tuple[Callable[[Records], Outcome], str]] = {
    "loses a record": (lambda batch: Outcome(batch, []), "lost or added"),
    "adds a record": (lambda batch: Outcome(batch, [b"x"] * 9), "lost or added"),
    "rejects a record twice": (
        lambda batch: Outcome(batch, [], rejects=[Reject(0, BAD), Reject(0, BAD)]),
        "twice",
    ),
    "rejects a place behind the last": (
        lambda batch: Outcome(batch, [b"x"], rejects=[Reject(2, BAD)]),
        "does not have",
    ),
    "rejects a place before the first": (
        lambda batch: Outcome(batch, [b"x"], rejects=[Reject(-1, BAD)]),
        "does not have",
    ),
    "makes records of its own": (
        lambda batch: values(Records(batch.topic, batch.values)),
        "records of its own",
    ),
    "chooses a topic that there is not": (
        lambda batch: batch.outcome(batch.values, topics=["other"] * len(batch)),
        "no output topic",
    ),
}


@pytest.mark.parametrize("breach", BREACHES)
def test_a_step_that_breaks_its_contract_ends_the_session(breach: str) -> None:
    alone = Alone(Kafka())
    make, why = BREACHES[breach]
    with pytest.raises(BrokenContractError, match=why):
        alone.session.write(make(alone.batch()))


@pytest.mark.parametrize("column", ["keys", "headers", "timestamps", "topics", "kinds"])
@pytest.mark.parametrize("length", [1, 3])
def test_a_column_of_another_length_ends_the_session(column: str, length: int) -> None:
    alone = Alone(Kafka())
    batch = alone.batch()
    assert len(batch) == 2
    columns: dict[str, Any] = {column: [OUTPUT] * length}
    with pytest.raises(BrokenContractError, match=rf"{length} {column} for 2"):
        alone.session.write(batch.outcome(batch.values, **columns))


def test_a_batch_of_another_worker_ends_the_session() -> None:
    one, two = Alone(Kafka()), Alone(Kafka())
    two.batch()
    with pytest.raises(BrokenContractError, match="another worker"):
        two.session.write(values(one.batch()))


def test_a_batch_that_does_not_reach_the_sink_ends_the_session_in_the_end() -> None:
    alone = Alone(Kafka())
    alone.batch()
    alone.clock.sleep(1.0)
    assert alone.turn() == []
    alone.clock.sleep(STUCK_SECONDS)
    assert alone.turn() == []
    alone.clock.sleep(0.1)
    with pytest.raises(BrokenContractError, match="drops or keeps"):
        alone.turn()


def test_a_batch_that_reaches_the_sink_twice_ends_the_session_also_where_another_is_missing() -> (
    None
):
    alone = Alone(Kafka())
    first, _ = alone.batch(), alone.batch()
    alone.session.write(values(first))
    with pytest.raises(BrokenContractError, match="twice"):
        alone.session.write(values(first))


def test_a_batch_of_an_earlier_transaction_that_comes_again_ends_the_session() -> None:
    alone = Alone(Kafka())
    batch = alone.batch()
    alone.session.write(values(batch))
    alone.clock.sleep(1.0)
    alone.turn()
    with pytest.raises(BrokenContractError, match="twice"):
        alone.session.write(values(batch))


def test_each_batch_that_reaches_the_sink_begins_the_wait_anew() -> None:
    alone = Alone(Kafka())
    first, _ = alone.batch(), alone.batch()
    alone.clock.sleep(1.0)
    assert alone.turn() == []
    alone.clock.sleep(STUCK_SECONDS)
    alone.session.write(values(first))
    alone.clock.sleep(STUCK_SECONDS)
    assert alone.turn() == []


def test_a_session_gives_up_once_nobody_has_answered_for_its_limit() -> None:
    preflight = Ready()
    preflight.fault = UnavailableError("nobody")
    alone = Alone(Kafka(), preflight=preflight, limit=120.0)
    with pytest.raises(GaveUpError, match="gave up after 120 s: nobody"):
        alone.work(2000)
    assert 120.0 < alone.clock.now() < 121.0
    assert alone.session.unready == "has not heard from the broker"


@pytest.mark.parametrize("outcome", ["never", "slow", "refused", "unanswered"])
def test_a_session_gives_up_once_no_call_has_succeeded_for_its_limit(outcome: str) -> None:
    alone = Alone(Kafka(), limit=120.0)
    alone.work(30)
    began = alone.clock.now()
    alone.line.fate = Fate(outcome)
    with pytest.raises(GaveUpError):
        alone.work(2000)
    # The trouble begins with the next commit, and the last call may take its time.
    assert 120.0 < alone.clock.now() - began < 140.0


def test_trouble_that_ends_in_time_is_forgotten() -> None:
    alone = Alone(Kafka(), limit=120.0)
    for _ in range(3):
        alone.line.fate = Fate("never")
        until = alone.clock.now() + 100
        while alone.clock.now() < until:
            alone.work(1)
        before = dict(alone.kafka.committed)
        alone.line.fate = Fate(records=1000)
        alone.work(30)
        assert alone.kafka.committed != before


class Changing(Alone):
    """A worker whose next reader would read otherwise, once it is told so."""

    how: str | None = None

    def outdated(self) -> str | None:
        how, self.how = self.how, None
        return how


def test_who_has_left_the_group_stays_away_also_where_it_is_to_read_otherwise() -> None:
    alone = Changing(Kafka())
    alone.work(30)
    alone.line.fate = Fate("never")
    while alone.kafka.group.members:
        alone.work(1)
    assert "has left the group" in (alone.session.unready or "")
    alone.how = "slower"
    alone.work(3)
    assert alone.how is None
    assert not alone.kafka.group.members
    alone.line.fate = Fate(records=1000)
    alone.work(100)
    assert alone.session.unready is None


class Doubtful(MemoryWriter):
    """Doubts when it is told to, until it is renewed; counts how often it is."""

    doubt = False
    renewals = 0

    def in_doubt(self) -> bool:
        return self.doubt or super().in_doubt()

    def renew(self, timeout: float) -> None:
        super().renew(timeout)
        self.doubt = False
        self.renewals += 1


class Cut(Alone):
    """A worker whose reader's connection falls silent when it is told so."""

    cut = False

    def broken(self) -> bool:
        cut, self.cut = self.cut, False
        return cut


def test_what_cuts_off_reader_and_writer_at_once_renews_the_producer_once() -> None:
    alone = Cut(Kafka(), Kinds(writer=Doubtful))
    alone.work(30)
    writer = alone.writer
    assert isinstance(writer, Doubtful)
    before = writer.renewals
    alone.cut = writer.doubt = True
    alone.work(30)
    assert writer.renewals == before + 1


class Hurt(MemoryWriter):
    """Fails to commit, for good."""

    def commit(self, timeout: float) -> None:
        del timeout
        raise CallError("committing", fault=MissingError(()))


def test_the_preflight_names_what_an_error_does_not_tell() -> None:
    preflight = Ready()
    preflight.name = MissingError([OUTPUT])
    alone = Alone(Kafka(), Kinds(writer=Hurt), preflight=preflight)
    with pytest.raises(MissingError, match=f"no topic {OUTPUT}"):
        alone.work(20)


def test_what_the_preflight_finds_ends_the_session() -> None:
    preflight = Ready()
    preflight.fault = MissingError(["in"])
    with pytest.raises(MissingError):
        Alone(Kafka(), preflight=preflight).turn()


def test_a_fenced_session_ends() -> None:
    alone = Alone(Kafka())
    alone.session.write(values(alone.batch()))
    alone.kafka.fence("a")
    alone.clock.sleep(1.0)
    with pytest.raises(FencedError):
        alone.turn()


def test_a_record_that_a_topic_no_longer_takes_becomes_a_dead_letter() -> None:
    alone = Alone(Kafka())
    large = random.Random(1).randbytes(3000)
    for _ in range(40):
        for batch in alone.turn() or ():
            alone.kafka.limits[OUTPUT] = 2000
            alone.session.write(batch.outcome([large, *batch.values[1:]]))
    assert len([sent for sent in alone.kafka.visible() if sent.topic == DEAD_LETTERS]) > 1
    assert not [sent for sent in alone.kafka.visible() if sent.value == large]


def test_a_topic_that_is_created_again_under_a_session_ends_it() -> None:
    alone = Alone(Kafka())
    alone.work(20)
    alone.kafka.topic_id = "second"
    with pytest.raises(MadeAgainError):
        alone.work(20)


def test_a_session_that_is_to_end_waits_for_what_is_in_flight_and_commits_it() -> None:
    alone = Alone(Kafka())
    batch = alone.batch()
    alone.stop.stopping = True
    assert alone.turn() == []
    before = dict(alone.kafka.committed)
    alone.session.write(values(batch))
    assert alone.turn() is None
    assert alone.kafka.committed != before


def test_a_session_waits_for_nothing_in_flight_once_a_worker_has_failed() -> None:
    alone = Alone(Kafka())
    batch = alone.batch()
    before = dict(alone.kafka.committed)
    alone.stop.fail(BrokenContractError("another worker has got it"))
    assert alone.turn() is None
    alone.session.close()
    alone.session.write(values(batch))  # It comes after all.
    assert alone.kafka.committed == before
    assert not alone.kafka.visible()


def test_a_session_that_closes_leaves_the_group_and_commits_nothing_more() -> None:
    alone = Alone(Kafka())
    batch = alone.batch()
    before = dict(alone.kafka.committed)
    alone.session.close()
    alone.session.close()
    alone.session.write(values(batch))
    assert alone.turn() is None
    assert not alone.kafka.group.members
    assert alone.kafka.committed == before
