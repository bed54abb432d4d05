"""Whether the topic is still the one whose offsets the group has committed.

A topic that is deleted and created again has the same name and the same offsets, with other
records. Only the id that Kafka gives it tells. It stands in the metadata of each committed offset.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from confluent_kafka import TopicPartition

from domination.exactly_once.errors import MadeAgainError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from domination.exactly_once.rule import Position

_ASK_SECONDS: Final = 5.0
_LABEL: Final = "topic-id="


class Asker(Protocol):
    """Who asks for the topic's id, which is empty where it is not known."""

    def told(self, timeout: float) -> str:
        """Ask, and wait for the answer. Raises `KafkaException`."""

    def ask(self) -> None:
        """Ask, unless an answer is still to come."""

    def answer(self) -> str:
        """Give what has been answered since the last time."""


class SameTopic:
    """Holds the topic's id against the first one that this worker was told, and the group's.

    Offsets without an id, those of an earlier version, of `rewind` or of another program, are not
    compared.
    """

    def __init__(self, asker: Asker, group: str, topic: str) -> None:
        self._asker = asker
        self._group = group
        self._topic = topic
        self._id = ""
        self._asked_at: float | None = None

    @property
    def note(self) -> str:
        """The metadata of an offset that is to be committed."""
        return f"{_LABEL}{self._id}" if self._id else ""

    def require(self, timeout: float) -> None:
        """Ask for the id; raises `MadeAgainError` where it is another, or `KafkaException`.

        Ask for offsets after it, never before: then an offset of the topic before is never noted
        under the id of the topic after it.
        """
        self._compare(self._asker.told(timeout))

    def require_noted(self, places: Iterable[TopicPartition]) -> None:
        """Raise `MadeAgainError` where the group has committed an offset of another topic."""
        for place in places:
            noted = _noted(place) if place.offset >= 0 else ""
            if noted and self._id and noted != self._id:
                raise MadeAgainError(self._group, self._topic)

    def look(self, now: float) -> None:
        """Ask now and then without waiting for the answer; raises `MadeAgainError`."""
        self._compare(self._asker.answer())
        if self._id and (self._asked_at is None or now - self._asked_at >= _ASK_SECONDS):
            self._asked_at = now
            self._asker.ask()

    def _compare(self, told: str) -> None:
        self._id = self._id or told
        if told and told != self._id:
            raise MadeAgainError(self._group, self._topic)


class Proof(NamedTuple):
    """What a commit has to show."""

    member: Any
    """The group's metadata: who commits."""
    note: str = ""
    """The metadata of its offsets: of which topic they are."""


def noted(topic: str, positions: Mapping[int, Position], note: str) -> list[TopicPartition]:
    """Give the offsets to commit, each with the note."""
    metadata = {"metadata": note} if note else {}
    return [
        TopicPartition(topic, partition, at.offset, leader_epoch=at.leader_epoch, **metadata)
        for partition, at in positions.items()
    ]


def _noted(place: TopicPartition) -> str:
    """Give the id in the metadata of a committed offset."""
    # The Python client sends the zero that ends a string of C along.
    metadata = str(place.metadata or "").rstrip("\0")
    return metadata.removeprefix(_LABEL) if metadata.startswith(_LABEL) else ""
