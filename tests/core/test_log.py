"""The log: lines for people, objects for programs."""

from __future__ import annotations

import json
import logging
import time
from datetime import datetime, timezone

import pytest

from domination import log
from domination.settings import Settings
from domination.worker.throughput import ThroughputLog


def test_text_says_when_how_grave_and_who(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure(Settings())
    log.worker_logger(3).info("assigned %s", [1])
    log.worker_logger(3).debug("not at this level")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith(" INFO    domination.worker-3: assigned [1]")


@pytest.mark.parametrize("zone", ["UTC", "America/New_York"])
def test_text_says_when_in_utc_wherever_it_runs(
    zone: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    log.configure(Settings())
    before = datetime.now(timezone.utc).replace(microsecond=0)
    log.logger.info("now")
    said = " ".join(capsys.readouterr().err.split()[:2])
    monkeypatch.undo()
    time.tzset()
    when = datetime.strptime(said, "%Y-%m-%d %H:%M:%S%z")
    assert before <= when <= datetime.now(timezone.utc)


def test_text_of_others_moves_no_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure(Settings())
    try:
        int("\x1b[2J\u202e")
    except ValueError:
        log.logger.exception("bug: %s", "\x1b[2J\r\n")
    said = capsys.readouterr().err
    assert "bug: \\x1b[2J\\r\\n\n Traceback" in said
    assert all(line.isprintable() for line in said.split("\n"))


def test_json_is_one_object_a_line_even_for_a_traceback(
    capsys: pytest.CaptureFixture[str],
) -> None:
    log.configure(Settings(log_format="json"))
    try:
        int("two\nlines")
    except ValueError:
        log.logger.exception("bug")
    (line,) = capsys.readouterr().err.splitlines()
    row = json.loads(line)
    assert (row["level"], row["logger"], row["message"]) == ("error", "domination", "bug")
    assert "two\\nlines" in row["exception"]
    assert row["time"].endswith("+00:00")


def test_the_rate_is_said_once_in_a_while_and_not_when_idle(
    caplog: pytest.LogCaptureFixture,
) -> None:
    logger = logging.getLogger("throughput")
    now = [0.0]
    throughput = ThroughputLog(logger, seconds=30, clock=lambda: now[0])
    with caplog.at_level(logging.INFO, "throughput"):
        throughput.count(2500, 500)
        throughput.report()
        assert not caplog.messages
        now[0] = 30.0
        throughput.report()
        now[0] = 60.0
        throughput.report()
        throughput.report(last=True)
    assert caplog.messages == [
        "100 records/s: 2,500 shadows and 500 dead letters in 30 s",
        "wrote 3,000 records in all",
    ]
