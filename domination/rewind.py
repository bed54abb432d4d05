"""Moving the workers' group in the input topic, between two lives of its workers.

Only a group without members can be moved, and Kafka itself looks. A worker that was killed may have
left a transaction open that still commits offsets of the group. It is waited for: only then it is
known where the group stands. Kafka lets the later of two commits hold, so a transaction that comes
to its end after a move does not undo it.
"""

from __future__ import annotations

import re
from contextlib import closing
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Final, NamedTuple

from domination import connection
from domination.errors import DominationError, Exit
from domination.kafka.cluster import Cluster
from domination.kafka.faults import MembersError
from domination.kafka.group import Group
from domination.kafka.tail import at

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from domination.settings import Settings

EARLIEST: Final = "earliest"
LATEST: Final = "latest"
_OPEN_SECONDS: Final = 30.0
"""Kafka aborts the transaction of a worker that is dead within 20."""
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_DURATION: Final = re.compile(rf"(\d{{1,9}})([{''.join(_UNITS)}])", re.ASCII)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)
_OFFSET: Final = re.compile(r"\d{1,18}", re.ASCII)


class Time(NamedTuple):
    """A moment, in milliseconds since 1970."""

    milliseconds: int


Goal = Time | int | str
"""Where to go: a time, an offset, `EARLIEST` or `LATEST`."""


def goal(text: str, now: float) -> Goal:
    """Read where to go; `now` is in seconds since 1970. Raises `ValueError` with the reason."""
    if text in (EARLIEST, LATEST):
        return text
    if _OFFSET.fullmatch(text):
        return int(text)
    if found := _DURATION.fullmatch(text):
        seconds = now - int(found[1]) * _UNITS[found[2]]
    else:
        seconds = _moment(text)
    if seconds > now:
        raise ValueError(f"{text} is in the future")
    return Time(max(0, round(seconds * 1000)))


def _moment(text: str) -> float:
    """Read ISO 8601, in seconds since 1970."""
    try:
        # Python reads the Z from 3.11 on.
        moment = datetime.fromisoformat(re.sub("[zZ]$", "+00:00", text))
    except ValueError:
        raise ValueError(
            f"'{text}' is not a position: give a time (2025-06-01T02:00:00Z, or 2h for two hours "
            f"ago), {EARLIEST}, {LATEST}, or an offset"
        ) from None
    if moment.tzinfo is None:
        raise ValueError(
            f"'{text}' has no zone, or no time of day: write it like 2025-06-01T02:00:00Z or "
            "2025-06-01T02:00:00+02:00"
        )
    return (moment - _EPOCH).total_seconds()


class Place(NamedTuple):
    """Where the group stands in a partition, and what there is to go to."""

    partition: int
    committed: int | None
    first: int
    """The offset of the first record that Kafka still has."""
    end: int
    """The offset that the next record will have."""


class Move(NamedTuple):
    """Where the group goes in one partition."""

    place: Place
    to: int

    @property
    def again(self) -> int:
        """How many records lie behind the group and before it after the move.

        Where the group has no offset it is not known which were judged: it is all of them.
        """
        committed, end = self.place.committed, self.place.end
        return max(0, (end if committed is None else min(committed, end)) - self.to)

    @property
    def skipped(self) -> int:
        """How many records nobody judges if the group goes there."""
        return max(0, self.to - max(self.place.first, self.place.committed or 0))

    def line(self, topic: str, *, goes: bool) -> str:
        """Tell it in a line."""
        committed = self.place.committed
        begin = f"{topic}[{self.place.partition}]: "
        begin += "no offset" if committed is None else f"{committed}"
        if not goes:
            return f"{begin} stays: {self.to} is ahead, {self.skipped:,} would be skipped"
        first = " (the first record kept)" if self.to == self.place.first > 0 else ""
        skipped = f", {self.skipped:,} skipped" if self.skipped else ""
        return f"{begin} -> {self.to}{first}: {self.again:,} again{skipped}"


class Plan(NamedTuple):
    """Who moves, and who stays because moving would skip records."""

    go: list[Move]
    stay: list[Move]

    @property
    def again(self) -> int:
        """How many records will be judged and written again."""
        return sum(move.again for move in self.go)

    @property
    def skipped(self) -> int:
        """How many records will never be judged."""
        return sum(move.skipped for move in self.go)

    def lines(self, topic: str) -> Iterator[str]:
        """Tell it in a line for each partition."""
        for move in sorted([*self.go, *self.stay]):
            yield move.line(topic, goes=move in self.go)


def plan(moves: Sequence[Move], *, skip: bool) -> Plan:
    """Decide who moves: only back, unless `skip`.

    Raises `DominationError` (78) where nobody does, or where one that stays has no offset: a worker
    would begin there with the first record, or refuse to.
    """
    stay = [] if skip else [move for move in moves if move.skipped]
    go = [move for move in moves if move not in stay]
    lost = [move.place.partition for move in stay if move.place.committed is None]
    if stay and (lost or not go):
        why = f"has no offset in partitions {lost}" if lost else "does not go back by that"
        raise DominationError(
            Exit.SETTING,
            f"the group {why}: {sum(move.skipped for move in stay):,} records would be skipped; "
            f"--skip does so, '--to {EARLIEST}' judges all that there are",
        )
    return Plan(go, stay)


def target(place: Place, where: int | str, topic: str) -> Move:
    """Find the place to go to in a partition; an offset that is not there raises (78)."""
    if isinstance(where, str):
        return Move(place, place.first if where == EARLIEST else place.end)
    if place.first <= where <= place.end:
        return Move(place, where)
    raise DominationError(
        Exit.SETTING,
        f"{topic}[{place.partition}] has no offset {where}: it begins at {place.first} and ends "
        f"at {place.end}",
    )


class Rewind:
    """Moves the group. Whatever Kafka refuses, or its absence, is a `FaultError`.

    `patience`: how many seconds to wait for the open transaction of a worker that was killed.
    """

    def __init__(self, settings: Settings, patience: float = _OPEN_SECONDS) -> None:
        self._settings = settings
        self._topic = settings.input_topic
        self._patience = patience
        self._connection = connection.of(settings)
        self._cluster = Cluster(self._connection)
        count = self._cluster.require({self._topic: "READ"})[self._topic]
        self._cluster.reach_leaders(self._topic, count)
        self._partitions: Final = range(count)

    def plan(self, where: Goal, partition: int | None = None, *, skip: bool) -> Plan:
        """Find who would move where; raises `DominationError` (78) as `plan` and `target` do."""
        chosen = self._chosen(where, partition)
        with closing(self._group()) as group:
            committed = group.committed(self._topic, self._partitions)
            self._require_whole(committed, chosen)
            goals: dict[int, int | None] = {}
            if isinstance(where, Time):
                goals = group.since(self._topic, chosen, where.milliseconds)
        asked = at(self._topic, chosen)
        with self._cluster.asking(f"asking for the offsets of topic {self._topic}"):
            first, end = self._cluster.first_offsets(asked), self._cluster.end_offsets(asked)
        places = [Place(each, committed[each], first[each], end[each]) for each in chosen]
        moves = []
        for place in places:
            found = goals.get(place.partition) if isinstance(where, Time) else where
            moves.append(target(place, LATEST if found is None else found, self._topic))
        return plan(moves, skip=skip)

    def require_no_members(self) -> None:
        """Raise `MembersError` where the group has members."""
        if members := self._cluster.members(self._settings.group):
            raise MembersError(self._settings.group, members)

    def do(self, found: Plan) -> None:
        """Move the group."""
        with closing(self._group()) as group:
            group.move(self._topic, {move.place.partition: move.to for move in found.go})

    def _group(self) -> Group:
        return Group(self._connection, self._settings.group, self._patience)

    def _chosen(self, where: Goal, partition: int | None) -> Sequence[int]:
        count = len(self._partitions)
        if partition is not None and partition not in self._partitions:
            raise DominationError(
                Exit.SETTING, f"{self._topic} has no partition {partition}: it has {count}, from 0"
            )
        if isinstance(where, int) and partition is None and count > 1:
            raise DominationError(
                Exit.USAGE, f"{self._topic} has {count} partitions: name one with --partition"
            )
        return self._partitions if partition is None else [partition]

    def _require_whole(self, committed: dict[int, int | None], chosen: Sequence[int]) -> None:
        """Refuse to give one offset to a group that has none: it would read the rest in full."""
        if len(chosen) < len(committed) and all(each is None for each in committed.values()):
            raise DominationError(
                Exit.SETTING,
                f"group {self._settings.group} has no offset at all: leave --partition out, so "
                "that each partition gets one",
            )
