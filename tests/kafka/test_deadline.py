"""Calls that may never return."""

from __future__ import annotations

import gc
import threading
import weakref
from contextlib import suppress

import pytest

from domination.kafka.deadline import within


def test_a_call_that_never_returns_is_left_alone() -> None:
    forever = threading.Event()
    with pytest.raises(TimeoutError):
        within(0.05, forever.wait)
    forever.set()


def test_what_is_to_be_done_meanwhile_is_done_beside_the_call() -> None:
    done = threading.Event()
    waited = []
    within(120, lambda: waited.append(done.wait(60)), done.set)
    assert waited == [True]


def test_a_call_that_fails_in_time_fails_as_ever() -> None:
    def call() -> None:
        raise KeyError("its own")

    with pytest.raises(KeyError, match="its own"):
        within(120, call)


def test_a_call_that_has_failed_leaves_what_it_worked_with_to_nobody() -> None:
    class Client:
        def fail(self) -> None:
            raise KeyError

    def use() -> weakref.ref[Client]:
        client = Client()
        with suppress(KeyError):
            within(120, client.fail)
        return weakref.ref(client)

    gc.disable()
    try:
        assert use()() is None
    finally:
        gc.enable()
