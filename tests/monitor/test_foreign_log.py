"""What the servers under the monitor's page log, and how often something may happen."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from domination.monitor import foreign_log
from domination.monitor.allowance import Allowance

if TYPE_CHECKING:
    import pytest


def test_an_allowance_is_so_many_at_once_and_so_many_a_second() -> None:
    now = [0.0]
    allowance = Allowance(3, 2, lambda: now[0])
    assert [allowance.take() for _ in range(4)] == [True, True, True, False]
    now[0] = 1
    assert [allowance.take() for _ in range(3)] == [True, True, False]
    now[0] = 100
    assert [allowance.take() for _ in range(4)] == [True, True, True, False]


def test_what_the_servers_under_it_log_is_a_short_line_each_and_few(
    caplog: pytest.LogCaptureFixture,
) -> None:
    loggers = [logging.getLogger(name) for name in foreign_log.NAMES]
    before = [(each.handlers, each.propagate) for each in loggers]
    now = [0.0]
    foreign_log.shorten(lambda: now[0])
    try:
        for each in loggers * 100:
            each.error(
                "\x1b[2J%s\nINFO domination: forged", "x" * 9_000, exc_info=ValueError("1\n2")
            )
        now[0] = 60
        loggers[0].error("again")
    finally:
        for each, (handlers, each.propagate) in zip(loggers, before, strict=True):
            each.handlers = handlers
    assert len(caplog.messages) == 11
    assert all(each.isprintable() and len(each) < 300 for each in caplog.messages)
    assert caplog.records[0].exc_info is None
    assert "790 more left out" in caplog.messages[-1]
