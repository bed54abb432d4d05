"""What two ends are told: the topics, and how to work. Pure."""

from __future__ import annotations

from typing import NamedTuple

from domination.exactly_once.batch import Fault


class Topics(NamedTuple):
    """What a dataflow reads and writes."""

    read: str
    """The topic whose records are read."""
    write: tuple[str, ...]
    """The topics of the values; where there are several, each outcome chooses."""
    dead_letters: str
    """The topic of the records that leave no value."""

    @property
    def needed(self) -> dict[str, str]:
        """What has to be allowed on each."""
        return {self.read: "READ"} | dict.fromkeys((*self.write, self.dead_letters), "WRITE")


class Options(NamedTuple):
    """How two ends work; all of it has a default."""

    name: str = "exactly-once"
    """Begins transactional ids (`name-group-instance`) and dead letters' headers (`name.error.…`).
    """
    instance: str = ""
    """The same after a restart, another for each process; empty: the host's name and a free slot.
    """
    commit_interval: float = 0.5
    """Longest time between commits while records flow, in seconds, up to 5."""
    availability_timeout: float = 120.0
    """A worker without progress for so many seconds gives up."""
    too_large: Fault = Fault("value_too_large", "the value is larger than its topic takes")
    """Why a record whose value no topic takes becomes a dead letter."""


DEFAULTS = Options()
