"""Run a command in the terminal's foreground, in a process group of its own.

python scripts/foreground.py COMMAND …

Ctrl-C then reaches the command alone. `make` would die of it, whatever the command ends with.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress


def main(command: list[str]) -> int:
    """Run the command; give its exit code. Without a terminal it takes this process's place."""
    try:
        terminal = os.open("/dev/tty", os.O_RDWR)
    except OSError:
        os.execvp(command[0], command)  # noqa: S606 - there is no shell to start it with
    # Who does not have the foreground shall not be stopped for giving it away.
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    child = os.posix_spawnp(
        command[0], command, os.environ, setpgroup=0, setsigdef=[signal.SIGTTOU]
    )
    _pass_on(child)
    while True:
        _give(terminal, os.getpgrp(), child)
        _, status = os.waitpid(child, os.WUNTRACED)
        _give(terminal, child, os.getpgrp())
        if not os.WIFSTOPPED(status):
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code
        # Ctrl-Z: all of us stop, until the shell says go on.
        os.killpg(0, signal.SIGSTOP)
        os.killpg(child, signal.SIGCONT)


def _give(terminal: int, owner: int, heir: int) -> None:
    """Give the foreground from one process group to another, if it has it."""
    if os.tcgetpgrp(terminal) == owner:
        os.tcsetpgrp(terminal, heir)


def _pass_on(child: int) -> None:
    """Let the signals that ask this process to end ask the child instead."""

    def forward(number: int, _frame: object) -> None:
        with suppress(ProcessLookupError):
            os.kill(child, number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, forward)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
