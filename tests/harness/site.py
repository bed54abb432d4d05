"""Where readers and writers are tried: a protocol, so that Kafka and its model are tried alike."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from domination.exactly_once.batch import Fault, Record
from domination.exactly_once.dead_letter import Form
from domination.exactly_once.ports import CallError, NotYetToldError
from domination.exactly_once.target import Target
from domination.kafka.faults import Rights

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

    from domination.exactly_once.batch import Headers, Records
    from domination.exactly_once.ports import Change, Reader, Writer
    from domination.exactly_once.rule import Position

PARTITIONS = 2
TRIES = 1_500


class Read(NamedTuple):
    """A record of an output, as a read_committed reader sees it."""

    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp: int


class Held(Protocol):
    """A request that was sent again, since its connection broke."""

    def deliver(self) -> object:
        """Let the first copy of it arrive, late."""


class Site(Protocol):
    """One group, a topic of two partitions, two outputs and a topic for dead letters."""

    input: str
    outputs: tuple[str, str]
    dead_letters: str

    def reader(self, name: str, changes: Callable[[Change], None]) -> Reader:
        """Make a reader that joins the group under a name of its own."""

    def writer(self, name: str, outputs: int = 2) -> Writer:
        """Make a writer under an id, to so many of the outputs."""

    def settle(self) -> None:
        """Let the group come to a new assignment if it has to."""

    def send(self, partition: int, *records: Record) -> None:
        """Append to the input."""

    def send_aborted(self, partition: int) -> int:
        """Append what a reader never sees; give the offset behind it."""

    def make_again(self) -> None:
        """Delete the input and create it again, empty; the group's offsets go with it."""

    def hold(self, commit: bool) -> Held:
        """Let the next request that ends a transaction be sent twice, and come once for now."""

    def limit(self, topic: str, size: int) -> None:
        """Let a topic take records up to a size in bytes only."""

    def read(self, topic: str) -> list[Read]:
        """Read an output to its end."""

    def ended(self) -> None:
        """Wait until no transaction is open any more: readers see its end a little later."""

    def committed(self) -> Mapping[int, int]:
        """Give the group's committed offsets."""


def target(name: str, site: Site, outputs: int) -> Target:
    """Give where a writer writes."""
    return Target(
        name,
        site.input,
        site.outputs[:outputs],
        site.dead_letters,
        Form("site."),
        Fault("too_large", "no topic takes it"),
        Rights(),
    )


def ignore(_change: Change) -> None:
    """Have nothing to end when the assignment changes."""


def joined(site: Site, name: str = "one", changes: Callable[[Change], None] = ignore) -> Reader:
    """Make a reader, and wait until the group has told what it reads."""
    reader = site.reader(name, changes)
    until(site, reader, lambda: reader.member)
    return reader


def until(site: Site, reader: Reader, done: Callable[[], bool]) -> None:
    """Poll, and lose what comes, until something has happened."""
    for _ in range(TRIES):
        site.settle()
        reader.poll(0.1, 1)
        if done():
            return
    raise AssertionError("it never happens")


def rewound(site: Site, reader: Reader) -> Hashable:
    """Read on from the committed offsets, as soon as that can be."""
    for _ in range(TRIES):
        with suppress(NotYetToldError, CallError):
            return reader.rewind(5.0)
        site.settle()
        reader.poll(0.1, 1)
    raise AssertionError("it cannot be rewound")


def reading(site: Site, name: str = "one") -> Reader:
    """Make a reader that stands at the committed offsets."""
    reader = joined(site, name)
    rewound(site, reader)
    return reader


def polled(reader: Reader, count: int) -> tuple[list[Record], dict[int, Position]]:
    """Poll until so many records have come."""
    found: list[Record] = []
    places: dict[int, Position] = {}
    for _ in range(TRIES):
        if len(found) >= count:
            break
        records, positions = reader.poll(0.1, 1000)
        places |= positions
        if records:
            found += [records.record(place) for place in range(len(records))]
    return found, places


def batch(reader: Reader) -> Records:
    """Poll until there is a batch."""
    for _ in range(TRIES):
        records, _ = reader.poll(0.1, 1000)
        if records:
            return records
    raise AssertionError("no records come")


def renewed(writer: Writer) -> Writer:
    """Take the writer's id; what may be tried again is."""
    call(lambda: writer.renew(5.0))
    return writer


def call(made: Callable[[], Any]) -> None:
    """Make a call until it has an outcome."""
    for _ in range(TRIES):
        with suppress(_RetriableError):
            _once(made)
            return


class _RetriableError(Exception):
    """The same call may be made again."""


def _once(made: Callable[[], Any]) -> None:
    try:
        made()
    except CallError as error:
        if error.retriable:
            raise _RetriableError from error
        raise


def given(*values: bytes | None, timestamp: int = 1000) -> list[Record]:
    """Make records to send, each with a key and a header."""
    return [
        Record("", 0, 0, timestamp + i, b"key", value, [("name", b"body")])
        for i, value in enumerate(values)
    ]


def opened(site: Site, name: str = "one", outputs: int = 1) -> Writer:
    """Make a writer with an open transaction."""
    writer = renewed(site.writer(name, outputs))
    writer.begin()
    return writer


def read_back(site: Site, reader: Reader, *values: bytes | None) -> Records:
    """Send records to partition 0, and read them in one batch."""
    site.send(0, *given(*values))
    found = batch(reader)
    assert list(found.values) == list(values)
    return found


def commit(site: Site, writer: Writer, reader: Reader, places: dict[int, Position]) -> None:
    """Commit with these offsets, and wait until that can be seen."""
    member, _ = reader.membership()
    writer.send_offsets(places, member, 5.0)
    end(site, writer.commit)


def end(site: Site, made: Callable[[float], None]) -> None:
    """End a transaction, and wait until that can be seen."""
    call(lambda: made(5.0))
    site.ended()


def values(site: Site, topic: str) -> list[bytes | None]:
    return [each.value for each in site.read(topic)]
