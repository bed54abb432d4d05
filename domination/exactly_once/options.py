"""What two ends are told: the topics, and how to work. Pure."""

from __future__ import annotations

from typing import Final, NamedTuple

from domination.exactly_once.batch import Fault

LONGEST_INTERVAL: Final = 5.0
"""Between commits, in seconds: half of what Kafka gives a transaction."""


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
    """Begins transactional ids (`name/group/instance`) and dead letters' headers (`name.error.…`).
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


def id_prefix(name: str, group: str) -> str:
    """Give what the transactional ids of a group's workers begin with, and no other id does.

    A slash ends each part. Within a part it is `%2F`, and a percent sign `%25`.
    """
    parts = (part.replace("%", "%25").replace("/", "%2F") for part in (name, group))
    return "".join(f"{part}/" for part in parts)


def misfit(topics: Topics, group: str, options: Options) -> str | None:
    """Say why two ends cannot work with these; None where they can."""
    write: object = topics.write
    if isinstance(write, str) or not write:
        return f"the topics to write are a tuple of names, not {write!r}"
    every = topics.read, *topics.write, topics.dead_letters
    if not all(name.strip() for name in (*every, group, options.name)):
        return "a topic, the group or the name of the options is empty"
    if twice := sorted({name for name in every if every.count(name) > 1}):
        return f"topic {' and '.join(twice)} is named twice: each topic has one use"
    if not 0 < options.commit_interval <= LONGEST_INTERVAL:
        return f"the commit interval is {options.commit_interval:g} s: it takes 0 to 5"
    if not options.availability_timeout > 0:
        return f"the availability timeout is {options.availability_timeout:g} s: not above 0"
    return None
