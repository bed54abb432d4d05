"""Calls that may never return, given a time limit."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def within(
    seconds: float, call: Callable[[], object], meanwhile: Callable[[], object] = lambda: None
) -> None:
    """Make a call that may never return; raises what it raises, or `TimeoutError` in its stead.

    After that it is left alone on a thread of its own, which ends with the process at the latest.
    `meanwhile` is called beside it, and is part of the time.
    """
    deadline = time.monotonic() + seconds
    failures: list[Exception] = []

    def run() -> None:
        try:
            call()
        except Exception as error:  # noqa: BLE001 - raised again below
            failures.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    meanwhile()
    thread.join(max(0.0, deadline - time.monotonic()))
    if thread.is_alive():
        raise TimeoutError
    if failures:
        raise failures.pop()  # A frame that kept it would be kept by it, and the client with both.
