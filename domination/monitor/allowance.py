"""How often something may happen. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Allowance:
    """So many at once, and so many a second from then on."""

    def __init__(self, at_once: int, a_second: float, clock: Callable[[], float]) -> None:
        self._most = self._left = float(at_once)
        self._a_second = a_second
        self._clock = clock
        self._at = clock()

    def take(self) -> bool:
        """Take one; False where none is left."""
        now = self._clock()
        self._left = min(self._most, self._left + (now - self._at) * self._a_second)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
