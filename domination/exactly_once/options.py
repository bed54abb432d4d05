"""What two ends are told: the topics, and how to work. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from domination.exactly_once.batch import Fault

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

LONGEST_INTERVAL: Final = 5.0
"""Between commits, in seconds: half of what Kafka gives a transaction."""
LONGEST_TOPIC: Final = 249
"""Characters of a topic's name, for Kafka."""
_TOPIC: Final = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9._-]*")
LONGEST_NAME: Final = 4_000
"""Bytes of any other name. A text of Kafka's protocol has up to 32,767, and so has a transactional
id: its name and its group may take three times their length, and the instance and 100 come after.
"""


class Topics(NamedTuple):
    """The topics that a dataflow reads and writes."""

    read: str
    """The input topic."""
    write: tuple[str, ...]
    """The output topics. If there are several, each `Outcome` chooses."""
    dead_letters: str
    """The topic of the dead letters."""

    @property
    def needed(self) -> dict[str, str]:
        """The right that each topic needs."""
        return {self.read: "READ"} | dict.fromkeys((*self.write, self.dead_letters), "WRITE")


class Options(NamedTuple):
    """Options of the ends; each has a default."""

    name: str = "exactly-once"
    """Prefix of transactional ids (`name/group/instance`) and of dead letters' headers
    (`name.error.…`)."""
    instance: str = ""
    """Name of the process, the same after a restart and different for each process. If it is
    empty: the host's name and a free slot."""
    commit_interval: float = 0.5
    """Longest time between commits while records flow, in seconds, up to 5."""
    availability_timeout: float = 120.0
    """A worker gives up after this many seconds without progress."""
    too_large: Fault = Fault("value_too_large", "the value is larger than its topic takes")
    """The fault of a record whose value is larger than its topic accepts."""


DEFAULTS = Options()


def id_prefix(name: str, group: str) -> str:
    """Give what the transactional ids of a group's workers begin with, and no other id does.

    A slash ends each part. Within a part it is `%2F`, and a percent sign `%25`.
    """
    parts = (part.replace("%", "%25").replace("/", "%2F") for part in (name, group))
    return "".join(f"{part}/" for part in parts)


def unfit(*, topics: Collection[str] = (), names: Iterable[str] = ()) -> str | None:
    """Say why Kafka does not take one of these; None where it takes them all.

    With a name that is too long the client times out without a reason.
    """
    if any(len(topic) > LONGEST_TOPIC for topic in topics):
        return f"is longer than {LONGEST_TOPIC} characters"
    if not all(_TOPIC.fullmatch(topic) for topic in topics):
        return "is not a valid topic name: Kafka takes only letters, digits, '.', '_' and '-'"
    if any(len(name.encode(errors="surrogateescape")) > LONGEST_NAME for name in names):
        return f"is longer than {LONGEST_NAME:,} bytes"
    return None


def misfit(topics: Topics, group: str, options: Options) -> str | None:
    """Say why two ends cannot work with these; None where they can."""
    if why := _misnamed(topics, group, options):
        return why
    if not 0 < options.commit_interval <= LONGEST_INTERVAL:
        return (
            f"the commit interval is {options.commit_interval:g} s: it must be above 0, at most 5"
        )
    if not options.availability_timeout > 0:
        return f"the availability timeout is {options.availability_timeout:g} s: it must be above 0"
    return None


def _misnamed(topics: Topics, group: str, options: Options) -> str | None:
    write: object = topics.write
    if isinstance(write, str) or not write:
        return f"the topics to write must be a tuple of names, not {write!r}"
    every = topics.read, *topics.write, topics.dead_letters
    if not all(name.strip() for name in (*every, group, options.name)):
        return "a topic, the group or the name of the options is empty"
    if twice := sorted({name for name in every if every.count(name) > 1}):
        return f"topic {' and '.join(twice)} is named twice: each topic has one use"
    if why := unfit(topics=every):
        return f"a topic {why}"
    if why := unfit(names=(options.name, group, options.instance)):
        return f"the group, the instance or the name of the options {why}"
    return None
