"""How a process of `domination` ends: with its exit code, all said, and without the C library."""

from __future__ import annotations

import subprocess
import sys
from typing import Final

import pytest

from domination.errors import Exit
from harness.processes import CLEAN, PATIENT_SECONDS, ROOT

RUN: Final = """
import ctypes, os, sys
from domination.cli import main

told = ctypes.CFUNCTYPE(None)(lambda: os.write(1, b"the C library exits\\n"))
ctypes.CDLL(None).__cxa_atexit(told, None, None)
sys.argv[:] = sys.argv[1:]
main.entry()
"""


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["judge", "15"], Exit.OK, "15 ShaDow"),
        (["wroker"], Exit.USAGE, "'worker'"),
        (["check", "--format", "xml"], Exit.USAGE, "xml"),
    ],
)
def test_it_ends_with_its_code_and_all_said_while_the_c_library_stays_as_it_is(
    arguments: list[str], code: Exit, said: str
) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", RUN, "domination", *arguments],
        cwd=ROOT,
        env=CLEAN,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENT_SECONDS,
    )
    assert ended.returncode == code
    assert said in ended.stdout + ended.stderr
    assert "the C library exits" not in ended.stdout
