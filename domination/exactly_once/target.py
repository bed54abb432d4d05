"""Where a writer writes, and how it is named."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from domination.exactly_once.batch import Fault
    from domination.exactly_once.dead_letter import Form
    from domination.kafka.faults import Rights


class Target(NamedTuple):
    """Where a writer writes, and how it is named."""

    transactional_id: str
    read: str
    """The topic whose offsets it commits."""
    write: tuple[str, ...]
    """The topics of the values; the first where an outcome does not choose."""
    dead_letters: str
    form: Form
    """Of the dead letters' headers."""
    too_large: Fault
    """Why a value that no topic takes becomes a dead letter."""
    rights: Rights
    """What it needs, to name what is refused."""

    @property
    def topics(self) -> tuple[str, ...]:
        """All topics that it writes to."""
        return *self.write, self.dead_letters
