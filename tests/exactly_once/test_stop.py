"""How workers are asked to end, and what is told of the failure that ends them."""

from __future__ import annotations

import time
from threading import Timer
from typing import TYPE_CHECKING

import pytest

from domination import log
from domination.errors import Exit
from domination.exactly_once.defaults import LOG, StopEvent
from domination.exactly_once.ports import Stop
from domination.kafka.faults import FencedError
from domination.worker.lifecycle import Lifecycle

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def heard(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """Hear what the library and the application log."""
    for logger in (LOG, log.logger):
        logger.addHandler(caplog.handler)
    yield caplog
    for logger in (LOG, log.logger):
        logger.removeHandler(caplog.handler)


@pytest.fixture(params=[StopEvent, Lifecycle])
def stop(request: pytest.FixtureRequest) -> StopEvent:
    made: StopEvent = request.param()
    assert isinstance(made, Stop)
    return made


def test_a_pause_ends_with_its_time_or_with_all_of_it(stop: StopEvent) -> None:
    stop.pause(0.01)
    assert not stop.stopping
    Timer(0.05, stop.set).start()
    began = time.monotonic()
    stop.pause(60)
    assert time.monotonic() - began < 30
    assert stop.stopping


def test_the_first_failure_ends_all_and_is_the_one_that_is_told(
    stop: StopEvent, heard: pytest.LogCaptureFixture
) -> None:
    first = KeyError("customer")
    stop.fail(first)
    stop.fail(ValueError("second"))
    assert stop.stopping
    assert stop.error is first
    (line,) = {record.getMessage() for record in heard.records}
    assert line.removeprefix("bug: ") == "KeyError: 'customer'"
    assert all(record.exc_info for record in heard.records)


def test_what_is_known_is_one_line(stop: StopEvent, heard: pytest.LogCaptureFixture) -> None:
    stop.fail(FencedError("fenced while committing"))
    for record in heard.records:
        assert record.getMessage().startswith("fenced while committing")
        assert record.exc_info is None


def test_a_process_takes_the_exit_code_of_the_first_failure() -> None:
    ended = Lifecycle()
    ended.fail(FencedError("fenced"))
    ended.fail(KeyError())
    assert ended.exit_code is Exit.TEMPORARY
    bug = Lifecycle()
    bug.fail(KeyError())
    assert bug.exit_code is Exit.BUG
