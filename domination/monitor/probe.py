"""Probes: each asks one source again and again, and keeps its last answer as a reading.

Each probe has a thread of its own, so that a source that does not answer holds nobody up. All who
look at the page share the probes.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from domination.advice import expected
from domination.errors import Exit
from domination.log import logger
from domination.monitor.reading import DOWN, UNREADABLE, Reading, Readings
from domination.text import printable, shortened

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from domination.monitor.rows import Rows
    from domination.monitor.topics import Topics

_PAUSE_SECONDS: Final = 1.0
_SILENT_SECONDS: Final = 10.0
_LAST_SECONDS: Final = 1.0
_LONGEST_WHY: Final = 300

T = TypeVar("T")


class Probe(Generic[T]):
    """Asks one source again and again until `end`."""

    def __init__(
        self,
        name: str,
        look: Callable[[], T],
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        pause_seconds: float = _PAUSE_SECONDS,
    ) -> None:
        self._reading: Reading[T] = Reading(name)
        self._look = look
        self._clock = clock
        self._wall = wall
        self._pause = pause_seconds
        self._asked: tuple[float, float] | None = None
        """When it was asked, on both clocks, while it has not answered."""
        self._end = threading.Event()
        # A daemon: a source that does not answer cannot keep the process alive.
        self._thread = threading.Thread(target=self._run, name=f"domination-{name}", daemon=True)
        self._thread.start()

    @property
    def reading(self) -> Reading[T]:
        """What is known now. A source that has been silent for ten seconds is down."""
        reading, asked = self._reading, self._asked
        if reading.down_since is None and asked and self._clock() - asked[0] > _SILENT_SECONDS:
            return replace(reading, down_since=asked[1], why="it does not answer")
        return reading

    def end(self) -> None:
        """Ask no more."""
        self._end.set()

    def join(self) -> None:
        """Wait a second at most for an answer that is on its way."""
        self._thread.join(_LAST_SECONDS)

    def _run(self) -> None:
        while not self._end.is_set():
            _, began = self._asked = self._clock(), self._wall()
            self._reading = self._ask(began)
            self._asked = None
            self._end.wait(self._pause)

    def _ask(self, began: float) -> Reading[T]:
        before = self._reading
        try:
            data = self._look()
        except Exception as error:  # noqa: BLE001 - the page shows any error
            return self._failed(error, began)
        if before.down_since is not None:
            logger.info("%s is back", before.name)
        return Reading(before.name, data, self._wall())

    def _failed(self, error: Exception, began: float) -> Reading[T]:
        before, why, trouble = self._reading, _why(error), _trouble(error)
        since = before.down_since
        if since is None or trouble != before.trouble:
            logger.warning("%s is %s: %s", before.name, trouble, why)
        # What is down is unreadable too, but not the other way round.
        if since is None or (trouble, before.trouble) == (DOWN, UNREADABLE):
            since = began
        return replace(before, down_since=since, trouble=trouble, why=why)


@contextmanager
def probing(
    topics: Callable[[], Topics], rows: Callable[[], Rows]
) -> Iterator[Callable[[], Readings]]:
    """Probe both sources meanwhile; yield the function that gives their readings."""
    kafka, clickhouse = Probe("Kafka", topics), Probe("ClickHouse", rows)
    try:
        yield lambda: Readings(kafka.reading, clickhouse.reading)
    finally:
        kafka.end()
        clickhouse.end()
        kafka.join()
        clickhouse.join()


def _trouble(error: Exception) -> str:
    known = expected(error)
    return DOWN if known and known.exit_code is Exit.UNAVAILABLE else UNREADABLE


def _why(error: Exception) -> str:
    known = expected(error)
    # A server's text may quote what others have chosen.
    told = printable(str(known or error).partition("\n")[0])
    first = shortened(told, _LONGEST_WHY) or type(error).__name__
    return first if known else f"{type(error).__name__}: {first}"
