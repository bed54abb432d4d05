"""The live view on a real terminal."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from harness.processes import CLEAN, ROOT
from harness.terminal import written

SHOW = """
from domination.demo.terminal import open_view
from domination.clickhouse.queries import Human
from domination.demo.counts import Snapshot
with open_view("Domination") as view:
    for rows in range(3):
        latest = [Human("a human\\x1b[2J\\x1b]0;title", "ShaDow", "2026-11-23 10:00:00.123")]
        view.show(Snapshot(3, 3, 0, rows, {"Sha": 1, "ShaDow": rows}, latest, 0.5, {}))
"""
STYLE = re.compile(rb"\x1b\[[\d;]*m")
CURSOR = re.compile(rb"\x1b\[[\d;?]*[A-HJKhl]")


def shown(environment: dict[str, str]) -> bytes:
    """Give what the view writes on a terminal."""
    seen = written(
        lambda output: subprocess.Popen(
            [sys.executable, "-c", SHOW], cwd=ROOT, env=CLEAN | environment, stdout=output
        )
    )
    assert b"ShaDow" in seen
    return seen


@pytest.mark.parametrize(
    ("environment", "style", "cursor"),
    [
        ({"TERM": "xterm-256color"}, True, True),
        ({"TERM": "xterm-256color", "NO_COLOR": "1"}, False, True),
        ({"TERM": "dumb"}, False, False),
    ],
)
def test_it_writes_no_more_escapes_than_a_terminal_is_said_to_take(
    environment: dict[str, str], style: bool, cursor: bool
) -> None:
    seen = shown(environment)
    assert bool(STYLE.search(seen)) == style
    assert bool(CURSOR.search(seen)) == cursor
    assert b"\x1b" not in CURSOR.sub(b"", STYLE.sub(b"", seen))
