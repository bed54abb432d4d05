"""What is known of Kafka and of ClickHouse at one moment. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, NamedTuple, TypeVar

if TYPE_CHECKING:
    from domination.monitor.rows import Rows
    from domination.monitor.topics import Topics

DOWN: Final = "down"
"""Nobody answers."""
UNREADABLE: Final = "unreadable"
"""What answers is too old, refuses, or lacks what it was asked for."""

T = TypeVar("T")


@dataclass(frozen=True)
class Reading(Generic[T]):
    """What is known of one source at one moment; moments are seconds since 1970."""

    name: str
    data: T | None = None
    """The last answer."""
    at: float | None = None
    """When the last answer came."""
    down_since: float | None = None
    """Since when it is down, or answers without what it was asked for."""
    trouble: str = DOWN
    """Which of the two it is: `DOWN` or `UNREADABLE`."""
    why: str = ""
    """What is wrong meanwhile; empty while it is up."""

    @property
    def up(self) -> bool:
        """Whether the last answer is fresh."""
        return self.data is not None and self.down_since is None

    @property
    def state(self) -> str:
        """Its state, in a word or two."""
        if self.down_since is not None:
            return self.trouble
        return "up" if self.up else "being asked"


class Readings(NamedTuple):
    """The readings of both sources at one moment."""

    kafka: Reading[Topics]
    clickhouse: Reading[Rows]
