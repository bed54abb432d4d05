"""What a reader reads, and as whom."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from domination.kafka.faults import Rights


class Subscription(NamedTuple):
    """What a reader reads, and as whom."""

    topic: str
    group: str
    instance: str
    """The static member's name, the same after a restart."""
    written: tuple[str, ...]
    """The topics that the group's records end up in: a group without offsets must not have any."""
    rights: Rights
    """What it needs, to name what is refused."""
