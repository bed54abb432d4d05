"""A worker's presence in its group: it joins, is evicted, leaves, and comes back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from domination.exactly_once.absence import Absence
from domination.kafka.faults import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from domination.exactly_once.parts import Parts
    from domination.exactly_once.ports import Change

IDLE_SECONDS: Final = 0.1
"""The longest that a turn waits where there is nothing to do, so that a stop is seen soon."""
LAST_CALL_SECONDS: Final = 1.0
"""The longest that closing a consumer takes, and that a call is tried once a worker is to end."""
LEAVE_SECONDS: Final = 2.0
"""The longest that leaving the group takes, and that closing takes after it.

A heartbeat's interval and some: a member that is still joining has to wait for the others.
"""
_HEARD_SECONDS: Final = 2.0


class Presence:
    """Has the reader of a session: one member of the group after the other."""

    def __init__(self, parts: Parts, changes: Callable[[Change], None]) -> None:
        self._name = parts.name
        self._readers = parts.readers
        self._preflight = parts.preflight
        self._end_offsets = parts.end_offsets
        self._availability = parts.availability
        self._changes = changes
        self._stop = parts.stop
        self._log = parts.log
        self.absence = Absence(parts.clock)
        self.reader = parts.readers.make(changes)
        self.joined = False
        """Whether the broker has answered, so that it has a group to be in."""
        self.evicted = False
        """Whether the group took this member for another, and nothing has been committed since."""

    @property
    def away(self) -> bool:
        """Whether it has left the group to others for a while."""
        return self.absence.away

    @property
    def lacking(self) -> str | None:
        """Say why it is no member of the group, if it is none."""
        if not self.joined:
            return "has not heard from the broker"
        if self.away:
            return f"has left the group: {self.absence.why}"
        return None if self.reader.member else "is not a member of the group yet"

    def join(self) -> bool:
        """Join the group once the broker answers and has the topics; tell whether it does."""
        try:
            self._preflight.require(self._availability.call_seconds)
        except UnavailableError as error:
            self._availability.failed(error)
            return False
        self._availability.recovered()
        self.absence.progressed()
        self.joined = True
        self.reader.subscribe()
        return True

    def rejoin(self, error: Exception) -> None:
        """Join the group again under the same name.

        When an answer of the group is lost, as with its broker, Kafka itself takes this member for
        another of the same name. Another one has the transactional id too, and the id decides who
        goes on: whoever was evicted commits again where it begins, and ends if it is fenced.
        """
        self._log.warning(
            "evicted from the group (%s): joining again; if this happens again and again, another "
            "worker has the same instance name, %s",
            error,
            self._name,
        )
        self.evicted = True
        self.replace()

    def replace(self) -> None:
        """Be another member from now on, under the same name; who is away stays so."""
        self.reader.close(LAST_CALL_SECONDS)
        self.reader = self._readers.make(self._changes)
        if not self.away:
            self.reader.subscribe()

    def leave_if_stalled(self) -> None:
        """Leave the group to others, unless its own coordinator is what does not answer."""
        if not self.reader.has_partitions:
            self.absence.put_off()
        if not self.absence.due:
            return
        if not self.reader.is_heard(_HEARD_SECONDS):
            self.absence.put_off()
            return
        self._log.warning(
            "leaving the group, so that others take its partitions: %s", self.absence.why
        )
        self.absence.begin()
        self.reader.leave(LEAVE_SECONDS)
        self.reader = self._readers.make(self._changes)

    def come_back(self) -> None:
        """Join the group again, now that transactions work, but not at once."""
        if not self.absence.over:
            self._stop.pause(IDLE_SECONDS)
            return
        self._log.info("joining the group again after %.1f s", self.absence.end())
        self.reader.subscribe()

    def listen(self) -> None:
        """Where nothing has come for a while: see whether the broker is there at all."""
        if not self._availability.probe_due:
            return
        if self._end_offsets.reach(_HEARD_SECONDS):
            self._availability.answered(at_end=self.reader.at_end)
        else:
            self._availability.failed("no answer")

    def committed(self) -> None:
        """Note a commit."""
        self.absence.committed()
        self.evicted = False

    def close(self) -> None:
        """Leave the group for good."""
        if self.joined and not self.away:
            self.reader.leave(LEAVE_SECONDS)
        else:
            self.reader.close(LAST_CALL_SECONDS)
