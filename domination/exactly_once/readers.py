"""Members of a group on Kafka, one after the other, over one link."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domination.exactly_once.link import Link
from domination.exactly_once.reader import KafkaReader
from domination.exactly_once.starts import Starts

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable

    from domination.exactly_once.ports import Change
    from domination.exactly_once.subscription import Subscription
    from domination.kafka.client import Connection


class KafkaReaders:
    """Makes the readers of one worker, each a `kind`. A `Readers` of `ports.py`."""

    def __init__(
        self,
        connection: Connection,
        subscription: Subscription,
        log: logging.Logger,
        kind: type[KafkaReader] = KafkaReader,
    ) -> None:
        self.connection = connection
        self.subscription = subscription
        self._link = Link(connection.log)
        self._starts = Starts(
            connection, subscription.group, subscription.topic, subscription.written, log
        )
        self._log = log
        self._kind = kind

    def make(self, changes: Callable[[Change], None]) -> KafkaReader:
        """Make a member, which calls back before its assignment changes."""
        return self._kind(
            self.connection, self.subscription, changes, self._link, self._starts, self._log
        )

    def require_topic(self, now: float) -> None:
        """Raise `MadeAgainError` where the topic is another by now; waits for no answer."""
        self._starts.same.look(now)

    def broken(self) -> bool:
        """Tell whether a connection has fallen silent since the last time."""
        return self._link.broken()

    def outdated(self) -> str | None:
        """Say how the next member would read otherwise than this one; None if it would not."""
        fetch = self._link.changed()
        return fetch and f"a fetch of {fetch.bytes:,} bytes may now take {fetch.seconds:g} s"
