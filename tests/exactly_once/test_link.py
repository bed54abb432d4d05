"""A consumer fetches as its link allows, and finds that out from its log."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

import pytest
from confluent_kafka import Consumer
from hypothesis import example, given
from hypothesis import strategies as st

from domination.exactly_once.link import Link
from domination.kafka.client import Connection
from domination.kafka.faults import SettingError

if TYPE_CHECKING:
    from collections.abc import Mapping

LOG: Final = logging.getLogger("link")
USUAL: Final = {"socket.timeout.ms": 10_000, "fetch.max.bytes": 4_000_000}


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def link(clock: Clock) -> Link:
    made = Link(LOG, clock)
    made.config(USUAL)
    return made


def time_out(link: Link, broker: str = "one:9092/1", request: str = "Fetch") -> None:
    text = f"[thrd:x]: {broker}: Timed out {request}Request in flight (after 10277ms, timeout #0)"
    link.log(logging.INFO, "%s [%s] %s", "REQTMOUT", "domination#consumer-1", text)


def limits(config: Mapping[str, Any]) -> tuple[int, int]:
    return config["socket.timeout.ms"], config["fetch.max.bytes"]


def slow(link: Link, clock: Clock) -> None:
    """Let two fetches in a row time out."""
    for _ in range(2):
        clock.now += limits(link.config(USUAL))[0] / 1000 + 0.5
        time_out(link)


@pytest.mark.parametrize("name", [*USUAL, "log_level", "message.max.bytes"])
@pytest.mark.parametrize("value", ["ten", "1.5", "", None])
def test_a_property_that_is_no_number_is_named_and_its_value_is_not(
    link: Link, name: str, value: str | None
) -> None:
    with pytest.raises(SettingError, match=rf"the property {name} takes a whole number$") as raised:
        link.config(USUAL | {name: value})
    assert raised.value.properties == [name]


def test_one_time_out_is_a_dead_connection_and_nothing_else(link: Link) -> None:
    assert not link.broken()
    time_out(link)
    assert link.broken()
    assert not link.broken()
    assert link.changed() is None


def test_two_in_a_row_ask_for_more_time_and_smaller_answers_until_there_is_no_more(
    link: Link, clock: Clock
) -> None:
    found = [limits(link.config(USUAL))]
    for _ in range(4):
        slow(link, clock)
        link.changed()
        found.append(limits(link.config(USUAL)))
    assert found == [(10_000, 4_000_000), (60_000, 250_000), *[(300_000, 16_000)] * 3]


@pytest.mark.parametrize(
    "second",
    [{"broker": "two:9092/2"}, {"request": "Metadata"}, {"after": 120.0}],
    ids=["of another broker", "of another kind", "long after the first"],
)
def test_a_time_out_that_does_not_follow_one_of_its_own_kind_says_nothing_of_the_link(
    link: Link, clock: Clock, second: dict[str, Any]
) -> None:
    time_out(link)
    clock.now += second.pop("after", 10.0)
    time_out(link, **second)
    assert link.changed() is None


def test_ten_minutes_without_a_time_out_lead_one_step_back(link: Link, clock: Clock) -> None:
    slow(link, clock)
    assert link.changed()
    clock.now += 599
    assert link.changed() is None
    clock.now += 1
    assert link.changed() == (10, 4_000_000)
    assert link.changed() is None


@example(timeout=262_143, fetch=1_000, message=None, log_level=None, times=0)
@given(
    timeout=st.integers(10, 300_000),
    fetch=st.integers(1_000, 2_000_000_000),
    message=st.none() | st.integers(1_000, 1_000_000_000),
    log_level=st.none() | st.integers(0, 7),
    times=st.integers(0, 3),
)
def test_the_settings_are_kept_or_made_milder_and_the_client_takes_them(
    timeout: int, fetch: int, message: int | None, log_level: int | None, times: int
) -> None:
    given = {"socket.timeout.ms": str(timeout), "fetch.max.bytes": str(fetch)}
    given |= {} if message is None else {"message.max.bytes": str(message)}
    given |= {} if log_level is None else {"log_level": str(log_level)}
    clock = Clock()
    link = Link(LOG, clock)
    for _ in range(times):
        slow(link, clock)
        link.changed()
    config = link.config(given)
    seconds, size = limits(config)
    assert seconds >= timeout
    assert size <= fetch
    assert times or (seconds, size) == (timeout, fetch)
    assert config["message.max.bytes"] <= size  # Else the client refuses the two.
    assert config["log_level"] >= 5  # Else it does not tell of time-outs.


def test_a_consumer_that_is_to_fetch_too_little_names_the_property(link: Link) -> None:
    connection = Connection({"fetch.max.bytes": "1"})
    with pytest.raises(SettingError) as raised, connection.making():
        Consumer({**link.config({**USUAL, **connection.properties}), "group.id": "g"})
    assert raised.value.properties == ["fetch.max.bytes"]


@pytest.mark.parametrize(("log_level", "shown"), [(None, 1), ("5", 1), ("4", 0)])
def test_only_lines_that_were_asked_for_are_shown(
    link: Link, caplog: pytest.LogCaptureFixture, log_level: str | None, shown: int
) -> None:
    caplog.set_level(logging.DEBUG, logger="link")
    link.config(USUAL | ({} if log_level is None else {"log_level": log_level}))
    time_out(link)
    assert len(caplog.records) == shown
    assert link.broken()
