"""What travels through a dataflow: the records of one poll, and what becomes of each. Pure.

Each record leaves exactly one outcome: a value, or a reject with its reason. So a batch stays
whole on its way: a step hands on an item for each record that is left, and the rejects beside them.
"""

from __future__ import annotations

from itertools import compress
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

T_co = TypeVar("T_co", covariant=True)
U = TypeVar("U")

Header = tuple[str, "str | bytes | None"]
Headers = list[Header]


class BrokenContractError(Exception):
    """A step of the dataflow has broken the contract of steps."""


class Fault(NamedTuple):
    """Why one record cannot be used: a short name to filter by, and a sentence."""

    reason: str
    message: str


class Reject(NamedTuple):
    """A record without a value: its place in the poll, counted from 0, and its fault."""

    place: int
    fault: Fault
    dropped: bool = False
    """Whether it is only counted, and does not become a dead letter."""


class Record(NamedTuple):
    """One record, as it was read."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    """In milliseconds since 1970; -1 where it has none."""
    key: bytes | None
    value: bytes | None
    headers: Headers | None
    """None where they cannot be read: Kafka takes names that are not UTF-8, the client does not."""


class Batch(Generic[T_co]):
    """The items of a poll, one for each record that is left, and the rejects.

    `places` has the place of each item's record in the poll; None if all records are left.
    """

    def __init__(
        self,
        records: Records,
        items: Sequence[T_co],
        places: Sequence[int] | None = None,
        rejects: Sequence[Reject] = (),
    ) -> None:
        self._records = records
        self.items = items
        self.places = places
        self.rejects = rejects

    @property
    def records(self) -> Records:
        """The records of the poll."""
        return self._records

    def map(self, step: Callable[[Sequence[T_co]], Sequence[U]]) -> Batch[U]:
        """Replace all items in one call: as many items, in the same order.

        Raises `BrokenContractError`.
        """
        items = step(self.items)
        if len(items) != len(self.items):
            raise BrokenContractError(
                f"a step made {len(items)} items of {len(self.items)}: it has to give one for each"
            )
        return Batch(self.records, items, self.places, self.rejects)

    def reject(self, faults: Sequence[Fault | None], *, drop: bool = False) -> Batch[T_co]:
        """Reject the items that have a fault; `faults` has one, or None, for each item.

        Raises `BrokenContractError`.
        """
        if len(faults) != len(self.items):
            raise BrokenContractError(
                f"a step judged {len(faults)} items of {len(self.items)}: it has to judge each"
            )
        if not any(faults):
            return self
        places = range(len(self.records)) if self.places is None else self.places
        rejects = [
            Reject(place, fault, drop)
            for place, fault in zip(places, faults, strict=True)
            if fault is not None
        ]
        kept = [fault is None for fault in faults]
        return Batch(
            self.records,
            list(compress(self.items, kept)),
            list(compress(places, kept)),
            [*self.rejects, *rejects],
        )

    def kept(self, column: Sequence[U]) -> Sequence[U]:
        """Give the entries of a column of the poll for the records that are left."""
        return column if self.places is None else [column[place] for place in self.places]

    def failed(self, error: Exception) -> Batch[Any]:
        """Give what is left where a step has failed: no items, and a sink that raises the error.

        `kept` gives nothing either, so that the steps behind do not fail over it in turn. Raises
        the error at once where no such sink waits for the batch.
        """
        if self.records.origin is None:
            raise error
        self.records.error = self.records.error or error
        return Batch(self.records, [], [])

    def outcome(self, values: Sequence[bytes | None], **columns: Any) -> Outcome:
        """Make the outcome of the batch: a value for each item, and the `columns` of `Outcome`."""
        return Outcome(self.records, values, self.places, self.rejects, **columns)


def required(made: object) -> Batch[Any]:
    """Give what a step has made if it is a batch; raises `BrokenContractError` if it is not."""
    if isinstance(made, Batch):
        return made
    raise BrokenContractError(
        f"a step gave a {type(made).__name__}: give the batch, or batch.outcome(values)"
    )


class Records(Batch["bytes | None"]):
    """The records of one poll of one topic, in columns of equal length; its items are the values.

    A column is read when it is asked for. `origin` and `error` are not for steps: the sink reads
    there whose batch this is, and what is wrong with it. No step gets records with a `fault`.
    """

    fault: Fault | None = None
    """Why all of them become dead letters at once."""

    def __init__(
        self,
        topic: str,
        values: Sequence[bytes | None],
        keys: Sequence[bytes | None] | None = None,
        headers: Sequence[Headers | None] | None = None,
        timestamps: Sequence[int] | None = None,
    ) -> None:
        # Not through `Batch`, as a reference to itself would keep it: the collector, which counts
        # objects and no bytes, comes by seldom.
        self.items = values
        self.places = None
        self.rejects = ()
        self.topic = topic
        self._keys = keys
        self._headers = headers
        self._timestamps = timestamps
        self.origin: Any = None
        self.error: Exception | None = None
        """What the first step that failed has raised."""

    def __len__(self) -> int:
        return len(self.items)

    @property
    def records(self) -> Records:
        """These."""
        return self

    @property
    def values(self) -> Sequence[bytes | None]:
        """The values; None is a tombstone."""
        return self.items

    @property
    def keys(self) -> Sequence[bytes | None]:
        """The keys."""
        return self._keys or [None] * len(self)

    @property
    def headers(self) -> Sequence[Headers | None]:
        """The headers of each; None where there are none, or they cannot be read."""
        return self._headers or [None] * len(self)

    @property
    def timestamps(self) -> Sequence[int]:
        """In milliseconds since 1970; -1 where a record has none."""
        return self._timestamps or [-1] * len(self)

    @property
    def partitions(self) -> Sequence[int]:
        """The partition of each."""
        return [0] * len(self)

    @property
    def offsets(self) -> Sequence[int]:
        """The offset of each in its partition."""
        return range(len(self))

    def sampled(self, step: int) -> list[int]:
        """Give the timestamps of the first record and each `step`-th after it."""
        return list(self.timestamps[::step])

    def record(self, place: int) -> Record:
        """Give one record whole."""
        return Record(
            self.topic,
            self.partitions[place],
            self.offsets[place],
            self.timestamps[place],
            self.keys[place],
            self.values[place],
            self.headers[place] or [],
        )


class Outcome(Batch["bytes | None"]):
    """What becomes of the records of a poll; its items are the values to write, in order.

    The other columns have an entry for each value. A column that is None is carried over from the
    record that the value is made of; an entry that is None means no key, or no headers.
    `timestamps` are in milliseconds since 1970, and 0 is the time of writing. `topics` is needed
    where there is more than one to choose from. `kinds` says what each value is, in words of the
    application for its observer.
    """

    def __init__(  # noqa: PLR0913 - columns
        self,
        records: Records,
        values: Sequence[bytes | None],
        places: Sequence[int] | None = None,
        rejects: Sequence[Reject] = (),
        *,
        keys: Sequence[bytes | None] | None = None,
        headers: Sequence[Headers | None] | None = None,
        timestamps: Sequence[int] | None = None,
        topics: Sequence[str] | None = None,
        kinds: Sequence[Any] = (),
    ) -> None:
        super().__init__(records, values, places, rejects)
        self.keys = keys
        self.headers = headers
        self.timestamps = timestamps
        self.topics = topics
        self.kinds = kinds

    @property
    def values(self) -> Sequence[bytes | None]:
        """The values to write."""
        return self.items

    def check(self) -> None:
        """Raise `BrokenContractError` unless each record leaves one outcome and columns fit.

        Where a step has failed, raise its error.
        """
        if self.records.error:
            raise self.records.error
        records, values = len(self.records), len(self.values)
        places = [reject.place for reject in self.rejects]
        if len(set(places)) != len(places):
            raise BrokenContractError("a step rejected a record twice")
        if any(not 0 <= place < records for place in places):
            raise BrokenContractError("a step rejected a place that the batch does not have")
        if values + len(places) != records:
            raise BrokenContractError(
                f"a step has lost or added records: {values} values and {len(places)} rejects of "
                f"{records} records; each leaves one, a value or a reject"
            )
        # The columns that are carried over are found by the places.
        if places or self.places is not None:
            places += range(records) if self.places is None else self.places
            if sorted(places) != list(range(records)):
                raise BrokenContractError(
                    "a step gave its values the places of other records: each place is a value's "
                    "or a reject's, once"
                )
        for name in ("keys", "headers", "timestamps", "topics"):
            column = getattr(self, name)
            if column is not None and len(column) != values:
                raise BrokenContractError(f"a step gave {len(column)} {name} for {values} values")
        if len(self.kinds) not in {0, values}:
            raise BrokenContractError(f"a step gave {len(self.kinds)} kinds for {values} values")
