"""A process that may be killed for memory says before where it reads, and ends itself if it can.

librdkafka bounds what it decompresses of zstd alone, and does so on threads of its own. What it
holds is in no worker's hand then, and the kernel that kills a process leaves no word in its log.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from domination.errors import Exit
from domination.log import logger
from domination.worker.memory_limit import lowest, own

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Mapping

    from domination.exactly_once.session import Session
    from domination.worker.memory_limit import Limit, Own

_HIGH: Final = 0.5
"""Of the limit. Python copies what the client holds, a record at a time, and no other thread runs
meanwhile: from less than this a copy cannot reach the limit."""
_FULL: Final = 0.9
"""Of the limit: the kernel would kill soon, and no line could be written any more."""
_PART: Final = 0.25
"""Of the limit: a process that holds less is not the one that fills it."""
_STEP: Final = 0.1
"""Of the limit: a line follows the last one where so much more is held."""
_FASTEST: Final = 4e9
"""More bytes than a process can fill in a second."""
_LEAST_SECONDS: Final = 0.001
_MOST_SECONDS: Final = 1.0
_LINE_SECONDS: Final = 10.0
_MIB: Final = 1024 * 1024
_WHAT_TO_DO: Final = (
    "raise the limit of memory, or see 'A worker ends with 71 or is killed for memory' in "
    "docs/operate.md"
)


class MemoryWatch:
    """Looks how much memory is held of a limit, and ends the process before it is all.

    `own` tells what this process holds. The less is left the sooner the next look is: before
    memory can be full.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - two with a default
        self,
        limit: Limit,
        own: Callable[[], Own],
        sessions: Mapping[int, Session],
        topic: str,
        end: Callable[[int], object] = os._exit,
        log: logging.Logger = logger,
    ) -> None:
        self._limit = limit
        self._own = own
        self._sessions = sessions
        self._topic = topic
        self._end = end
        self._log = log
        self._others = 0
        """What is held beside this process, and cannot be taken back, in bytes."""
        self._asked_at = -_MOST_SECONDS
        self._told = 0.0
        """What this process held at the last line, as long as it holds much."""
        self._told_at = -_LINE_SECONDS

    def run(self) -> None:
        """Look until the process ends."""
        while True:
            time.sleep(self.look(time.monotonic()))

    def look(self, now: float) -> float:
        """Say where memory is filled, end where it is nearly full; else give the seconds to wait.

        A line says much, and comes seldom: with the first, and where much more is held since.
        """
        mine = self._own()
        if now - self._asked_at >= _MOST_SECONDS:
            self._asked_at = now
            with suppress(OSError, KeyError, ValueError):  # The cgroup has changed its name, say.
                self._others = max(0, self._limit.held() - (mine.resident - mine.files))
        high, full = self._mark(_HIGH), self._mark(_FULL)
        if mine.resident >= full:
            self._give_up(mine.resident)
        elif mine.resident >= high:
            self._warn(mine.resident, now)
        else:
            self._told = 0.0
        left = (full if mine.resident >= high else high) - mine.resident
        return min(max(_LEAST_SECONDS, left / _FASTEST), _MOST_SECONDS)

    def _mark(self, part: float) -> float:
        """Give what this process holds when such a part of the limit is held by all."""
        size = self._limit.size
        return max(part * size - self._others, _PART * size)

    def _warn(self, mine: int, now: float) -> None:
        more = mine - self._told >= _STEP * self._limit.size
        if more and now - self._told_at >= _LINE_SECONDS:
            self._told, self._told_at = mine, now
            self._log.warning(
                "memory: %s, reading on %s; if this is the last line, the worker was killed, and a "
                "batch of records there, or soon behind, is too large: %s",
                self._held(mine),
                self._where(),
                _WHAT_TO_DO,
            )

    def _give_up(self, mine: int) -> None:
        try:
            self._log.error(
                "memory: %s, so the worker ends before it is killed; a batch of records is too "
                "large, %s or soon behind: %s",
                self._held(mine),
                self._where(),
                _WHAT_TO_DO,
            )
        finally:
            self._end(Exit.MEMORY)

    def _held(self, mine: int) -> str:
        held, size = (mine + self._others) // _MIB, self._limit.size // _MIB
        return f"{held} of {size} MiB are held, {mine // _MIB} of them by this worker"

    def _where(self) -> str:
        """Say where it reads on, without a word to the client, which may not answer now."""
        places = {
            number: offset
            for session in list(self._sessions.values())
            for number, offset in session.reading.items()
        }
        named = [f"[{number}] at offset {offset}" for number, offset in sorted(places.items())]
        return (
            f"in {self._topic} {' or '.join(named)}"
            if named
            else f"in no partition of {self._topic}"
        )


def watch(sessions: Mapping[int, Session], topic: str) -> None:
    """Watch the memory of this process from a thread of its own, where Linux tells of it."""
    if limit := lowest():
        statm = os.open("/proc/self/statm", os.O_RDONLY)
        watched = MemoryWatch(limit, lambda: own(statm), sessions, topic)
        threading.Thread(target=watched.run, name="domination-memory", daemon=True).start()
