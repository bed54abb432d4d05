"""How a worker process ends: on a signal, or because of a failure, and with what exit code."""

from __future__ import annotations

import atexit
import logging
import math
import os
import signal
import threading
from typing import TYPE_CHECKING, Final

from domination import advice
from domination.errors import DominationError, Exit
from domination.exactly_once.defaults import StopEvent
from domination.log import logger

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType


_BYTEWAX_LISTENS: Final = "BYTEWAX_DATAFLOW_API_ENABLED"
_EVERYWHERE: Final = "0.0.0.0"  # noqa: S104 - to be recognised


class Lifecycle(StopEvent):
    """Shared by all workers of a process: whether to go on, and what to answer at the end."""

    def __init__(self) -> None:
        super().__init__(logger)
        self.exit_code = Exit.OK

    def wait(self) -> None:
        """Wait for the end."""
        self.pause(math.inf)

    def tell(self, error: Exception) -> None:
        """Log why the process ends, and take its exit code."""
        if expected := advice.expected(error):
            self.exit_code = expected.exit_code
            logger.error("%s", expected)
        else:
            self.exit_code = Exit.BUG
            logger.error("bug: %s: %s", type(error).__name__, error, exc_info=error)

    def stop_on_signals(self, at_once: Callable[[], None] = lambda: None) -> None:
        """Let SIGTERM and SIGINT stop the workers, and a second one end the process at once.

        `at_once` runs before that end, on the thread of the signals.

        The signals are read from a pipe by a thread of their own: the main thread may be deep in
        a call of librdkafka, where no Python handler runs. Call it on the main thread.
        """
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _noted)
        threading.Thread(
            target=self._watch, args=(reader, at_once), name="domination-signals", daemon=True
        ).start()

    def exit_with_code(self) -> None:
        """Let the interpreter exit with this life's code although its main is not ours.

        `python -m bytewax.run` knows no exit code of a dataflow that ended in good order.
        """
        atexit.register(self._exit)

    def _watch(self, reader: int, at_once: Callable[[], None]) -> None:
        signalled = False
        while True:
            for number in os.read(reader, 16):
                if signalled:
                    at_once()
                    os._exit(128 + number)
                signalled = True
                logger.info(
                    "%s: draining; send it again to end at once", signal.Signals(number).name
                )
                self.set()

    def _exit(self) -> None:
        if self.exit_code is not Exit.OK:
            logging.shutdown()
            os._exit(self.exit_code)


def refuse_bytewax_api() -> None:
    """Refuse (78) the variable that makes Bytewax listen on all addresses, unless it says so.

    Bytewax only looks whether it is there; who sets it to switch something on, or even off, has
    not asked for a port that every host can reach, without a password.
    """
    if os.environ.get(_BYTEWAX_LISTENS, _EVERYWHERE) != _EVERYWHERE:
        raise DominationError(
            Exit.SETTING,
            f"{_BYTEWAX_LISTENS} makes Bytewax listen on {_EVERYWHERE}, for every host and without "
            f"a password: unset it, or set it to {_EVERYWHERE} if that is meant",
        )


def _noted(_number: int, _frame: FrameType | None) -> None:
    """Take the place of the default action; the wake-up pipe has the signal already."""
