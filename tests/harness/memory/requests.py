"""What a producer asks Kafka for, and how it is answered."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from domination.exactly_once.batch import Headers
    from domination.exactly_once.rule import Position


class Answer(Enum):
    OK = auto()
    REFUSED = auto()
    FENCED = auto()
    TOO_LARGE = auto()
    SLOW = auto()
    """The call's time ran out; the same call may be made again."""
    NONE = auto()
    """The client has given up, or its connection broke."""


class Sent(NamedTuple):
    """A record as a producer sends it."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp: int


@dataclass(frozen=True)
class Request:
    """What a producer asks for. It may arrive more than once, and at any time later."""

    writer: str
    epoch: int


@dataclass(frozen=True)
class Init(Request):
    """InitProducerId of a new producer: it has no epoch yet, so nothing fences it."""


@dataclass(frozen=True)
class Produce(Request):
    records: tuple[Sent, ...]
    serial: int
    """The sequence number: what has been appended under it is not appended again."""


@dataclass(frozen=True)
class SendOffsets(Request):
    offsets: Mapping[int, Position]
    member: str | None
    generation: int


@dataclass(frozen=True)
class EndTransaction(Request):
    commit: bool
