"""Until when a topic keeps the records that it has, by its configuration and their timestamps.

Kafka deletes whole segments, each `retention.ms` after its newest record. It adds records to the
last segment for up to `segment.ms`. So a record may stay for both of these times. A record with a
timestamp in the future keeps its segment until `retention.ms` after that timestamp.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, NamedTuple

from domination.kafka.tail import at

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from domination.kafka.cluster import Cluster

_DELAY_MS: Final = 600_000
"""A broker looks for old segments every 5 minutes by default, and deletes a file a minute later."""


class Kept(NamedTuple):
    """What a topic holds, and until when at the latest."""

    topic: str
    records: int
    """At most so many: transaction markers count, and so do records that compaction removed."""
    until: int | None
    """When the last of them is gone, in milliseconds since 1970; None: never."""
    why: str
    """The configuration that says so."""


def kept(
    cluster: Cluster, topics: Iterable[str], wall: Callable[[], float] = time.time
) -> Iterator[Kept]:
    """Ask what each topic holds; a missing topic holds nothing.

    Needs the rights to describe the topics and their configurations. Raises a `FaultError`.
    """
    for topic, count in cluster.partitions(dict.fromkeys(topics, "DESCRIBE")).items():
        configuration = cluster.configuration(topic) if count else {}
        records, newest = _held(cluster, topic, count)
        now = int(wall() * 1000)
        until, why = last(configuration, max(newest, now)) if records else (now, "")
        yield Kept(topic, records, until, why)


def _held(cluster: Cluster, topic: str, partitions: int) -> tuple[int, int]:
    """Count the records of a topic, and give the latest of their timestamps."""
    places = at(topic, range(partitions))
    with cluster.asking(f"asking for the offsets of topic {topic}"):
        first, end = cluster.first_offsets(places), cluster.end_offsets(places)
        held = {each: end[each] - first[each] for each in end if end[each] > first[each]}
        newest = cluster.newest_timestamp(at(topic, held)) if held else -1
    return sum(held.values()), newest


def last(configuration: Mapping[str, str], newest: int) -> tuple[int | None, str]:
    """Say when a record is gone at the latest, None for never, and by which configuration.

    `newest`: the later of now and the newest record, in milliseconds since 1970.
    """
    policy = configuration["cleanup.policy"]
    if "delete" not in policy:
        return None, f"cleanup.policy is {policy or 'empty'}"
    retention = int(configuration["retention.ms"])
    if retention < 0:
        return None, f"retention.ms is {retention}"
    segment = int(configuration["segment.ms"])
    why = f"retention.ms is {retention}, segment.ms is {segment}"
    return newest + segment + retention + _DELAY_MS, why
