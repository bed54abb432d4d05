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

from domination import flow
from domination.exactly_once.ends import Ends
from domination.settings import from_environment
from domination.worker.run import run

if TYPE_CHECKING:
    from collections.abc import Callable

    from domination.exactly_once.parts import Parts
    from domination.exactly_once.ports import Change, Reader

STAGES: dict[str, list[float]] = {}
RECORDS = 0


def timed(owner: Any, name: str, stage: str, count: Callable[[Any], int] | None = None) -> None:
    """Let a function of a module or an object note its time under a stage's name."""
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


class Timed(Ends):
    """Ends whose reader and writer note their times."""

    def parts(self, worker_index: int) -> Parts:
        """Make them."""
        parts = super().parts(worker_index)
        for name, stage in (
            ("write", "produce"),
            ("send_offsets", "send offsets"),
            ("commit", "commit"),
        ):
            timed(parts.writer, name, stage)
        make = parts.readers.make

        def made(changes: Callable[[Change], None]) -> Reader:
            reader = make(changes)
            timed(reader, "poll", "poll", lambda polled: len(polled[0] or ()))
            return reader

        parts.readers.make = made  # type: ignore[method-assign]
        return parts


if __name__ == "__main__":
    for step, stage in (("read", "read"), ("judge", "judge"), ("write", "encode")):
        timed(flow, step, stage)
    code = run(from_environment(), make=Timed)
    told = {"records": RECORDS, "thread": time.thread_time(), "stages": STAGES}
    sys.stdout.write("\n" + orjson.dumps(told).decode() + "\n")
    sys.exit(code)
