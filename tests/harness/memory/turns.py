"""Calls that stop in the middle: a thread that takes turns with the one that made it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Asked = TypeVar("Asked")
Given = TypeVar("Given")


class KilledError(BaseException):
    """Ends a thread where it waits, past all that handles an `Exception`."""


class Turns(Generic[Asked, Given]):
    """Runs a function as a generator runs, except that it may stop anywhere below.

    Only one of the two threads ever runs, so nothing depends on chance.
    """

    def __init__(self) -> None:
        self._its = threading.Lock()
        self._ours = threading.Lock()
        self._its.acquire()
        self._ours.acquire()
        self._given: Given | None = None
        self._killed = False
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        self.waits_for: Asked | None = None
        """What it has asked for; None when it has ended."""

    def start(self, run: Callable[[], None]) -> None:
        """Run up to the first `ask`."""
        self._thread = threading.Thread(target=self._main, args=(run,), daemon=True)
        self._thread.start()
        self._await()

    def ask(self, asked: Asked) -> Given:
        """Stop, on its own thread, until it is given what it asks for."""
        if self._killed:
            raise KilledError
        self.waits_for = asked
        self._ours.release()
        self._its.acquire()
        if self._killed:
            raise KilledError
        given: Given = self._given  # type: ignore[assignment]  # whoever lets it run gives it
        return given

    def give(self, given: Given) -> None:
        """Let it go on up to the next `ask`, or to its end; raises what it raises."""
        self._given = given
        self._its.release()
        self._await()

    def kill(self) -> None:
        """End it where it stands."""
        if self.waits_for is not None:
            self._killed = True
            self._its.release()
            self._await()

    def _await(self) -> None:
        self._ours.acquire()
        if self._error:
            raise self._error

    def _main(self, run: Callable[[], None]) -> None:
        try:
            run()
        except KilledError:
            pass
        except BaseException as error:  # noqa: BLE001 - raised again by the other thread
            self._error = error
        self.waits_for = None
        self._ours.release()
