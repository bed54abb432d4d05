"""How long a worker goes on trying."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import KafkaError

from domination.advice import expected
from domination.errors import Exit
from domination.exactly_once.availability import Availability
from domination.exactly_once.defaults import StopEvent
from domination.exactly_once.errors import GaveUpError, WentBackError
from domination.kafka.faults import UnavailableError, UnreachableError, unavailable
from harness.clock import Clock

if TYPE_CHECKING:
    from collections.abc import Iterator

SERVERS = "localhost:9092"
# As librdkafka says it, with the address that it has found.
REFUSED = (
    "localhost:9092/bootstrap: Connect to ipv4#127.0.0.1:9092 failed: Connection refused "
    "(after 0ms in state CONNECT, 1 identical error(s) suppressed)"
)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def availability(clock: Clock) -> Availability:
    stop = StopEvent()
    stop.set()  # It does not wait between the tries.
    return Availability(SERVERS, 10, stop, clock, logging.getLogger("availability"))


def test_trouble_longer_than_the_availability_timeout_is_the_end(
    availability: Availability, clock: Clock
) -> None:
    availability.failed("no answer")
    clock.time = 10.0
    availability.failed("no answer")
    clock.time = 10.1
    with pytest.raises(GaveUpError, match="no answer"):
        availability.failed("no answer")


@pytest.mark.parametrize(
    "what",
    [
        "sending offsets: no answer",
        unavailable(KafkaError(KafkaError._TRANSPORT, REFUSED), SERVERS),
    ],
)
def test_the_end_says_once_which_broker_how_long_why_and_what_to_do(
    availability: Availability, clock: Clock, what: str | UnavailableError
) -> None:
    availability.failed(what)
    clock.time = 10.1
    with pytest.raises(GaveUpError) as ended:
        availability.failed(what)
    end = expected(ended.value)
    assert end
    assert end.exit_code is Exit.UNAVAILABLE
    told = str(end)
    for each in ("no broker", "localhost:9092", "10 s", "start Kafka", "BOOTSTRAP_SERVERS"):
        assert told.count(each) == 1, told
    assert "no answer" in told or "Connection refused)" in told


def test_the_end_looks_for_a_broker_that_does_not_answer_where_that_is_not_known(
    clock: Clock,
) -> None:
    stop, looked = StopEvent(), UnreachableError("no broker at inside:9092")
    stop.set()
    log = logging.getLogger("availability")
    availability = Availability(SERVERS, 10, stop, clock, log, look=lambda: looked)
    availability.failed("starting transactions: time-out")
    clock.time = 10.1
    with pytest.raises(GaveUpError, match="gave up after 10 s: no broker at inside:9092") as ended:
        availability.failed("starting transactions: time-out")
    assert "advertised.listeners" in str(expected(ended.value))


def test_an_offset_that_went_back_is_no_fault_of_a_broker(
    availability: Availability, clock: Clock
) -> None:
    back = WentBackError("offset 9, but Kafka now says 8: start the worker again")
    availability.failed(back)
    clock.time = 10.1
    with pytest.raises(GaveUpError) as ended:
        availability.failed(back)
    found = expected(ended.value)
    assert found
    assert (found.exit_code, str(found)) == (Exit.UNAVAILABLE, f"gave up after 10 s: {back}")


def test_a_success_in_between_starts_the_time_anew(
    availability: Availability, clock: Clock
) -> None:
    availability.failed("no answer")
    clock.time = 9.0
    availability.recovered()
    clock.time = 18.0
    availability.failed("no answer")
    clock.time = 28.0
    availability.failed("no answer")


def test_a_sign_of_life_is_no_progress_while_what_failed_is_still_to_be_done(
    availability: Availability, clock: Clock
) -> None:
    availability.failed("committing: not enough replicas")
    clock.time = 9.0
    availability.answered(at_end=False)
    clock.time = 10.1
    with pytest.raises(GaveUpError, match="not enough replicas"):
        availability.answered(at_end=False)


def test_a_sign_of_life_is_all_that_is_asked_for_where_there_is_nothing_to_do(
    availability: Availability, clock: Clock
) -> None:
    availability.failed("committing: time-out")
    clock.time = 10.1
    availability.answered(at_end=True)
    clock.time = 20.0
    availability.failed("no answer")


def calls(availability: Availability, clock: Clock) -> Iterator[float]:
    """Let each call wait as long as it may, and fail; give how long."""
    while True:
        yield (seconds := availability.call_seconds)
        clock.time += seconds
        availability.failed("no answer")


def test_a_call_has_twice_as_long_after_each_trouble_but_hardly_longer_than_the_limit(
    availability: Availability, clock: Clock
) -> None:
    had: list[float] = []
    with pytest.raises(GaveUpError):
        had.extend(calls(availability, clock))
    # The trouble is known with the end of the first call, and the limit of 10 s counts from there.
    assert had == [0.5, 1, 2, 4, 3, 0.5]
    availability.recovered()
    assert availability.call_seconds == 0.5


def test_trouble_is_told_once_and_its_end_too(
    availability: Availability, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "availability"):
        availability.recovered()
        for _ in range(5):
            availability.failed("no answer")
        clock.time = 3.0
        availability.recovered()
    assert caplog.messages == ["no answer; trying again for 10 s", "working again after 3.0 s"]


def test_the_broker_is_asked_after_silence_and_sooner_in_trouble(
    availability: Availability, clock: Clock
) -> None:
    clock.time = 1.0
    assert not availability.probe_due
    availability.failed("no answer")
    assert availability.probe_due
    availability.recovered()
    clock.time = 6.0
    assert availability.probe_due
    availability.seen()
    assert not availability.probe_due
