"""How long a worker goes on trying."""

from __future__ import annotations

import gc
import logging
import threading
import weakref
from contextlib import suppress

import pytest
from confluent_kafka import KafkaError

from domination.broker import no_broker
from domination.errors import DominationError, Exit
from domination.lifecycle import Lifecycle
from domination.patience import Absence, Patience, within
from domination.settings import Settings

# As librdkafka says it, with the address that it has found.
REFUSED = (
    "localhost:9092/bootstrap: Connect to ipv4#127.0.0.1:9092 failed: Connection refused "
    "(after 0ms in state CONNECT, 1 identical error(s) suppressed)"
)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def patience(clock: Clock) -> Patience:
    lifecycle = Lifecycle()
    lifecycle.stop()  # It does not wait between the tries.
    settings = Settings(availability_timeout_seconds=10)
    return Patience(settings, lifecycle, logging.getLogger("patience"), clock)


def test_trouble_longer_than_the_availability_timeout_is_the_end(
    patience: Patience, clock: Clock
) -> None:
    patience.troubled("no answer")
    clock.now = 10.0
    patience.troubled("no answer")
    clock.now = 10.1
    with pytest.raises(DominationError, match="no answer") as ended:
        patience.troubled("no answer")
    assert ended.value.exit_code is Exit.UNAVAILABLE


@pytest.mark.parametrize(
    "what",
    [
        "sending offsets: no answer",
        no_broker(Settings(), KafkaError(KafkaError._TRANSPORT, REFUSED)),
    ],
)
def test_the_end_says_once_which_broker_how_long_why_and_what_to_do(
    patience: Patience, clock: Clock, what: str | DominationError
) -> None:
    patience.troubled(what)
    clock.now = 10.1
    with pytest.raises(DominationError) as ended:
        patience.troubled(what)
    told = str(ended.value)
    for each in ("no broker", "localhost:9092", "10 s", "start Kafka", "BOOTSTRAP_SERVERS"):
        assert told.count(each) == 1, told
    assert "no answer" in told or "Connection refused)" in told


def test_a_success_in_between_starts_the_time_anew(patience: Patience, clock: Clock) -> None:
    patience.troubled("no answer")
    clock.now = 9.0
    patience.calm()
    clock.now = 18.0
    patience.troubled("no answer")
    clock.now = 28.0
    patience.troubled("no answer")


def test_a_sign_of_life_is_no_progress_while_what_failed_is_still_to_be_done(
    patience: Patience, clock: Clock
) -> None:
    patience.troubled("committing: not enough replicas")
    clock.now = 9.0
    patience.answered(at_end=False)
    clock.now = 10.1
    with pytest.raises(DominationError, match="not enough replicas"):
        patience.answered(at_end=False)


def test_a_sign_of_life_is_all_that_is_asked_for_where_there_is_nothing_to_do(
    patience: Patience, clock: Clock
) -> None:
    patience.troubled("committing: time-out")
    clock.now = 10.1
    patience.answered(at_end=True)
    clock.now = 20.0
    patience.troubled("no answer")


def test_trouble_is_told_once_and_its_end_too(
    patience: Patience, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "patience"):
        patience.calm()
        for _ in range(5):
            patience.troubled("no answer")
        clock.now = 3.0
        patience.calm()
    assert caplog.messages == ["no answer; trying again for 10 s", "going on after 3.0 s"]


def test_the_broker_is_asked_after_silence_and_sooner_in_trouble(
    patience: Patience, clock: Clock
) -> None:
    clock.now = 1.0
    assert not patience.doubtful
    patience.troubled("no answer")
    assert patience.doubtful
    patience.calm()
    clock.now = 6.0
    assert patience.doubtful
    patience.heard()
    assert not patience.doubtful


def test_a_call_that_never_returns_is_left_alone() -> None:
    forever = threading.Event()
    with pytest.raises(TimeoutError):
        within(0.05, forever.wait)
    forever.set()


def test_what_is_to_be_done_meanwhile_is_done_beside_the_call() -> None:
    done = threading.Event()
    waited = []
    within(10, lambda: waited.append(done.wait(5)), done.set)
    assert waited == [True]


def test_a_call_that_fails_in_time_fails_as_ever() -> None:
    def call() -> None:
        raise KeyError("its own")

    with pytest.raises(KeyError, match="its own"):
        within(10, call)


def test_a_call_that_has_failed_leaves_what_it_worked_with_to_nobody() -> None:
    class Client:
        def fail(self) -> None:
            raise KeyError

    def use() -> weakref.ref[Client]:
        client = Client()
        with suppress(KeyError):
            within(10, client.fail)
        return weakref.ref(client)

    gc.disable()
    try:
        assert use()() is None
    finally:
        gc.enable()


def test_who_fails_without_progress_for_long_leaves(clock: Clock) -> None:
    absence = Absence(clock)
    clock.now = 100.0
    absence.progressed()
    clock.now = 114.0
    absence.failed("committing")
    assert not absence.due
    assert absence.call_seconds == 1.0
    clock.now = 115.0
    assert absence.due
    assert absence.why == "no progress for 15 s (committing)"


def test_who_only_has_nothing_to_do_stays(clock: Clock) -> None:
    absence = Absence(clock)
    clock.now = 100.0
    assert not absence.due
    absence.failed("committing")
    absence.progressed()
    clock.now = 200.0
    assert not absence.due


def test_who_gets_answers_is_not_cut_off(clock: Clock) -> None:
    absence = Absence(clock)
    absence.failed("starting transactions")
    clock.now = 20.0
    absence.failed("starting transactions", answered=True)
    assert not absence.due
    absence.failed("starting transactions")
    assert absence.due


def test_who_cannot_help_anybody_by_leaving_is_asked_again_later(clock: Clock) -> None:
    absence = Absence(clock)
    absence.failed("committing")
    clock.now = 15.0
    absence.put_off()
    assert not absence.due
    clock.now = 30.0
    assert absence.due


def test_who_has_left_stays_away_for_a_while_and_does_not_leave_again_soon(clock: Clock) -> None:
    absence = Absence(clock)
    absence.failed("committing")
    clock.now = 15.0
    absence.begin()
    assert absence.away
    assert not absence.due
    assert not absence.over
    clock.now = 20.0
    assert absence.over
    assert absence.end() == 5.0
    absence.failed("committing")
    clock.now = 34.9
    assert not absence.due
    clock.now = 35.0
    assert absence.due


@pytest.mark.parametrize(("commits", "seconds"), [(False, 10.0), (True, 5.0)])
def test_who_comes_back_in_vain_stays_away_longer(
    clock: Clock, *, commits: bool, seconds: float
) -> None:
    absence = Absence(clock)
    absence.begin()
    absence.end()
    absence.progressed()
    if commits:
        absence.committed()
    absence.begin()
    clock.now = seconds - 0.1
    assert not absence.over
    clock.now = seconds
    assert absence.over
