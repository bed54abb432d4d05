"""What travels between the two ends: the records of one poll, in columns, and their outcome."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence


class Fault(NamedTuple):
    """Why one record could not be used, in the caller's words; none of them quotes the record."""

    reason: str
    """A short name, to count and to filter by."""
    message: str


class Reject(NamedTuple):
    """A record that could not be used: its place in the batch, counted from 0, and why."""

    place: int
    fault: Fault


@dataclass(frozen=True, slots=True)
class Records:
    """What one poll brought, in columns of equal length.

    `origin` is opaque to the steps of the dataflow; whoever made the batch finds it at the sink.
    """

    values: Sequence[bytes | None]
    keys: Sequence[bytes | None]
    origin: Any = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a batch became: records to write, in columns of equal length, and rejects.

    `types` has a byte for each value, or none at all.
    """

    values: Sequence[bytes]
    keys: Sequence[bytes | None]
    rejects: Sequence[Reject] = ()
    origin: Any = None
    types: bytes = b""
