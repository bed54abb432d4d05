"""How a consumer fetches: it notices a dead connection soon, and it is patient with a slow one.

The client gives an answer the time-out of the socket, down to its last byte. A short one finds a
connection that has died without a word; but over a slow link no answer of the usual size would ever
come in time. Only the client's log tells of it. So when two fetches from one broker time out one
after the other, the next consumer asks for less at once and waits longer.
"""

from __future__ import annotations

import logging
import re
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from domination.kafka.client import number

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from domination.kafka.client_log import ClientLog


class Fetch(NamedTuple):
    """How long an answer may take, and how large it may be."""

    seconds: float
    bytes: int


_SLOWER: Final = (Fetch(60, 250_000), Fetch(300, 16_000))
"""For slow links. Kafka sends the first batch of records whole, whatever its size."""
_CALM_SECONDS: Final = 600.0
_SETTLE_SECONDS: Final = 5.0
"""What else lies between two time-outs in a row: the client looks once a second, and connects."""

_SILENT: Final = ("REQTMOUT", "SESSTMOUT")
_TIMED_OUT: Final = re.compile(r": (\S+): Timed out FetchRequest in flight")
_NOTICE: Final = 5
"""The `log_level` from which on the client tells of time-outs."""
_LEAST_LARGEST: Final = 1_000
"""The least that the client takes for `message.max.bytes`."""


class Link:
    """Knows how one worker is to fetch, and is the logger of its consumers to find out."""

    def __init__(
        self, log: logging.Logger | ClientLog, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._log = log
        self._clock = clock
        self._steps: tuple[Fetch, ...] = _SLOWER
        self._step = 0
        self._timed_out: dict[str, float] = {}
        """When the last fetch from each broker timed out."""
        self._slow = False
        self._broken = False
        self._quiet = logging.NOTSET

    def config(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Give the properties of a consumer: those of `config` where the link is not slow.

        Raises `SettingError`.
        """
        usual = Fetch(number(config, "socket.timeout.ms") / 1000, number(config, "fetch.max.bytes"))
        slower = (Fetch(max(usual.seconds, s), min(usual.bytes, b)) for s, b in _SLOWER)
        self._steps = (usual, *slower)
        fetch = self._steps[self._step]
        largest = max(fetch.bytes, _LEAST_LARGEST)
        log_level = number(config, "log_level", _NOTICE)
        self._quiet = logging.WARNING if log_level < _NOTICE else logging.NOTSET
        return {
            **config,
            "socket.timeout.ms": round(fetch.seconds * 1000),
            "fetch.max.bytes": fetch.bytes,
            # For producers; but a consumer that is to fetch less is refused.
            "message.max.bytes": min(largest, number(config, "message.max.bytes", largest)),
            "log_level": max(log_level, _NOTICE),
        }

    def log(self, level: int, form: str, facility: str, client: str, text: str) -> None:
        """Take a line of a consumer's log."""
        if facility in _SILENT:
            self._broken = True
        if found := _TIMED_OUT.search(text):
            now, before = self._clock(), self._timed_out.get(found[1], float("-inf"))
            self._timed_out[found[1]] = now
            self._slow |= now - before < 2 * self._steps[self._step].seconds + _SETTLE_SECONDS
        if level >= self._quiet:
            self._log.log(level, form, facility, client, text)

    def broken(self) -> bool:
        """Tell whether a connection has fallen silent since the last time."""
        broken, self._broken = self._broken, False
        return broken

    def changed(self) -> Fetch | None:
        """Give the new way to fetch if there is one: the consumer is to be made again.

        After ten minutes without a time-out the next quicker way is tried.
        """
        before = self._step
        if self._slow:
            self._step = min(before + 1, len(self._steps) - 1)
        elif before and self._clock() - max(self._timed_out.values()) >= _CALM_SECONDS:
            self._step -= 1
        self._slow = False
        return None if self._step == before else self._steps[self._step]
