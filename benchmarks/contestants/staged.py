"""A worker whose stages are timed a batch at a time: `domination worker`, and at its end a line.

The line tells each stage's seconds of CPU on the worker's thread, its seconds by the clock, and how
many records it saw.
"""

from __future__ import annotations

import sys
import time
from functools import wraps
from typing import TYPE_CHECKING, Any

import orjson
from domination.reader import Reader
from domination.writer import Writer

from domination import flow
from domination.settings import from_environment
from domination.worker import run

if TYPE_CHECKING:
    from collections.abc import Callable

STAGES: dict[str, list[float]] = {}
RECORDS = 0


def timed(owner: Any, name: str, stage: str, count: Callable[[Any], int] | None = None) -> None:
    """Let a function of a module or a class note its time under a stage's name."""
    function = getattr(owner, name)
    spent = STAGES.setdefault(stage, [0.0, 0.0])
    clock, cpu = time.perf_counter, time.thread_time

    @wraps(function)
    def wrapper(*arguments: Any) -> Any:
        global RECORDS  # noqa: PLW0603 - one thread counts
        at, used = clock(), cpu()
        result = function(*arguments)
        spent[0] += cpu() - used
        spent[1] += clock() - at
        if count:
            RECORDS += count(result)
        return result

    setattr(owner, name, wrapper)


if __name__ == "__main__":
    timed(Reader, "poll", "poll", lambda polled: len(polled[0]))
    timed(flow, "read", "read")
    timed(flow, "judge", "judge")
    timed(flow, "write", "encode")
    timed(Writer, "write", "produce")
    timed(Writer, "send_offsets", "send offsets")
    timed(Writer, "commit", "commit")
    code = run(from_environment())
    told = {"records": RECORDS, "thread": time.thread_time(), "stages": STAGES}
    sys.stdout.write("\n" + orjson.dumps(told).decode() + "\n")
    sys.exit(code)
