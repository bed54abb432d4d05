"""Processes that tests start, and what they wait for."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

PATIENT_SECONDS = 150.0
"""How long a test waits for what has to happen, on a machine that does much besides."""
ROOT = Path(__file__).parent.parent.parent
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith("DOMINATION_")}
DOMINATION = (sys.executable, "-m", "domination")
WORKER = (*DOMINATION, "worker")
HURT = (sys.executable, str(Path(__file__).parent / "hurt_worker.py"))
BYTEWAX = (sys.executable, "-m", "bytewax.run", "dataflows.dominate:flow")


def run(
    *command: str, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, with no settings but these."""
    return subprocess.run(
        command,
        cwd=ROOT,
        env=CLEAN | (environment or {}),
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENT_SECONDS,
    )


def eventually(
    holds: Callable[[], bool], seconds: float = PATIENT_SECONDS, what: str | Callable[[], str] = ""
) -> None:
    """Wait until it holds; fail if it does not in time, and say then what is instead."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            said = what() if callable(what) else what
            raise AssertionError(f"not within {seconds} s: {said or holds}")
        time.sleep(0.02)


class Worker:
    """A worker process, its output kept."""

    def __init__(self, command: Iterable[str], environment: Mapping[str, str], log: Path) -> None:
        self._log = log
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                list(command),
                cwd=ROOT,
                env={**os.environ, **environment},
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    @property
    def output(self) -> str:
        return self._log.read_text(errors="replace")

    def until(self, text: str, seconds: float = PATIENT_SECONDS) -> None:
        """Wait until it has said something."""

        def said() -> bool:
            assert self.process.poll() is None or text in self.output, self.output
            return text in self.output

        eventually(said, seconds, f"{text!r} in {self.output}")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def freezes(self, seconds: float = PATIENT_SECONDS) -> bool:
        """Wait for it to stop by a signal; tell whether it does so in time."""
        status = Path(f"/proc/{self.process.pid}/status")
        try:
            eventually(lambda: "\nState:\tT" in status.read_text(), seconds)
        except AssertionError:
            return False
        return True

    def ends(self, seconds: float) -> bool:
        """Wait for its end, or kill it; tell whether it ended by itself in time."""
        try:
            self.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            return False
        return True

    def stop(
        self, number: signal.Signals = signal.SIGTERM, seconds: float = PATIENT_SECONDS
    ) -> int:
        """Send a signal and give the exit code."""
        self.process.send_signal(number)
        return self.wait(seconds)

    def wait(self, seconds: float = PATIENT_SECONDS) -> int:
        return self.process.wait(seconds)
