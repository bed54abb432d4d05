"""What may have gone wrong, each by its name: a history has no anomaly if every list is empty."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from domination.shadow import judge

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from confluent_kafka import Message

Sent = tuple[bytes | None, bytes | None]


class Record(NamedTuple):
    """A record as a read_committed reader got it."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    reason: str | None = None
    """Of a dead letter."""

    @property
    def fields(self) -> dict[str, Any]:
        """The value as JSON."""
        return dict(orjson.loads(self.value or b""))


def record(message: Message) -> Record:
    """Keep what the oracle needs of a message."""
    headers: Any = dict(message.headers() or [])
    reason = headers.get("domination.error.reason")
    return Record(
        message.partition() or 0,
        message.offset() or 0,
        message.key(),
        message.value(),
        reason.decode() if reason else None,
    )


@dataclass
class History:
    """What was sent, and what came of it in the end."""

    sent: list[Sent]
    """Values and keys of the input topic, in order by key; a human's value is its identity."""
    bad: Mapping[bytes | None, str] = field(default_factory=dict)
    """Each value that is not a rating, with its reason."""
    shadows: list[Record] = field(default_factory=list)
    letters: list[Record] = field(default_factory=list)
    watched: list[Record] = field(default_factory=list)
    """Shadows as a reader got them that looked on all the while."""
    committed: Mapping[int, int] = field(default_factory=dict)
    """The group's offset in each input partition."""
    ends: Mapping[int, tuple[int, int]] = field(default_factory=dict)
    """For each input partition the offset after its last record, and the end of its log, which
    the marks of transactions may push further."""


def anomalies(history: History) -> dict[str, list[Any]]:
    """Hold a history against the law: each record leaves one output record, whole and in order."""
    return _shadows(history) | _dead_letters(history) | _offsets(history)


def _shadows(history: History) -> dict[str, list[Any]]:
    humans = [orjson.loads(value or b"") for value, _ in history.sent if value not in history.bad]
    expected = {human["unique_id"]: int(judge(human["rating"])) for human in humans}
    rows = [each.fields for each in history.shadows]
    counts = Counter(row["unique_id"] for row in rows)
    return {
        "lost": sorted(expected.keys() - counts.keys()),
        "duplicated": [each for each, count in counts.items() if count > 1],
        "invented": sorted(counts.keys() - expected.keys()),
        "wrong type": [row for row in rows if row["type"] != expected.get(row["unique_id"])],
        "out of order": _out_of_order(history),
        "aborted read": sorted(set(history.watched) - set(history.shadows)),
    }


def _out_of_order(history: History) -> list[bytes]:
    sent = _by_key((key, value) for value, key in history.sent if value not in history.bad)
    read = _by_key((each.key, each.value) for each in history.shadows)
    # What is missing or twice has a name of its own.
    return [
        key for key in sent if list(found := dict.fromkeys(read[key])) != _among(sent[key], found)
    ]


def _among(humans: list[str], found: Mapping[str, Any]) -> list[str]:
    return [human for human in humans if human in found]


def _by_key(records: Iterable[tuple[bytes | None, bytes | None]]) -> dict[bytes, list[str]]:
    found: dict[bytes, list[str]] = defaultdict(list)
    for key, value in records:
        if key is not None:
            found[key].append(orjson.loads(value or b"")["unique_id"])
    return found


def _dead_letters(history: History) -> dict[str, list[Any]]:
    letters = Counter((str(letter.value), letter.reason) for letter in history.letters)
    wanted: Counter[tuple[str, str | None]] = Counter(
        (str(value), history.bad[value]) for value, _ in history.sent if value in history.bad
    )
    return {
        "dead letters missing": list((wanted - letters).elements()),
        "dead letters too many": list((letters - wanted).elements()),
    }


def _offsets(history: History) -> dict[str, list[Any]]:
    behind, beyond = [], []
    for partition, (last, end) in history.ends.items():
        committed = history.committed.get(partition, 0)
        if committed < last:
            behind.append((partition, committed, last))
        if committed > end:
            beyond.append((partition, committed, end))
    return {"offsets behind": behind, "offsets beyond": beyond}
