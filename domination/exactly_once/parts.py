"""What a session works with: its collaborators, on Kafka or in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import logging

    from domination.exactly_once.availability import Availability
    from domination.exactly_once.ports import (
        Clock,
        EndOffsets,
        Observer,
        Preflight,
        Readers,
        Stop,
        Writer,
    )
    from domination.exactly_once.rule import Transaction


class Parts(NamedTuple):
    """What a session works with."""

    rule: Transaction
    name: str
    """The worker's name in its group, the same after a restart."""
    topic: str
    """The topic that is read, to name it."""
    readers: Readers
    writer: Writer
    end_offsets: EndOffsets
    preflight: Preflight
    availability: Availability
    observer: Observer
    clock: Clock
    stop: Stop
    log: logging.Logger
    commit_interval: float
    """Longest time between two commits, in seconds."""
    joining: str
    """What the log says when the worker joins the group."""
