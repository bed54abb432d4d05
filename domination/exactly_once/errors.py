"""Ends that only the library knows, beside those of `domination.kafka.faults`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domination.kafka.faults import FaultError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Sequence


class GaveUpError(UnavailableError):
    """There was no progress for the longest time that a worker may wait."""

    def __init__(self, message: str, last: UnavailableError | None) -> None:
        super().__init__(message)
        self.last = last
        """What was wrong at the end, where it was that nobody answered."""


class WentBackError(UnavailableError):
    """Kafka tells a lower committed offset than before: too early, or somebody has moved it."""


class GoneError(FaultError):
    """The next record of a partition is not there any more."""


class MadeAgainError(GoneError):
    """The topic was deleted and created again: no offset of the group means the same any more."""

    def __init__(self, group: str, topic: str) -> None:
        super().__init__(
            f"topic {topic} was deleted and created again: what group {group} has committed are "
            "offsets of the topic before"
        )


class NoNameError(FaultError):
    """The host gives a worker no name."""


class LostOffsetsError(FaultError):
    """A group has no offsets although its output has records."""

    def __init__(self, group: str, read: str, written: Sequence[str]) -> None:
        super().__init__(
            f"group {group} has no committed offsets, but {' or '.join(written)} already has "
            f"records: its offsets expired or were deleted, {read} was created again, or the group "
            "is new"
        )
