"""A terminal for what a test runs, and what is written on it."""

from __future__ import annotations

import os
import pty
from typing import TYPE_CHECKING, Any

from harness.processes import PATIENT_SECONDS

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable


def written(
    start: Callable[[int], subprocess.Popen[Any]], interrupt_after: bytes | None = None
) -> bytes:
    """Start a process with a terminal; give all that it writes there, once it has ended with 0.

    Press Ctrl-C, once, when it has written the bytes `interrupt_after`.
    """
    terminal, its_end = pty.openpty()
    process = start(its_end)
    os.close(its_end)
    seen = b""
    try:
        while piece := os.read(terminal, 65_536):
            seen += piece
            if interrupt_after and interrupt_after in seen:
                os.write(terminal, b"\x03")
                interrupt_after = None
    except OSError:  # Its end of the terminal is closed.
        pass
    os.close(terminal)
    assert process.wait(PATIENT_SECONDS) == 0
    return seen
