"""What each reader and each writer promises, held against Kafka and against the model of it."""

from __future__ import annotations

import random
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from domination.exactly_once.batch import BrokenContractError, Fault, Outcome, Record, Records
from domination.exactly_once.ports import CallError, Change, EvictedError
from domination.exactly_once.rule import Failure, Position
from domination.kafka.faults import FencedError
from harness.kafka_site import KafkaSite
from harness.memory.site import MemorySite
from harness.site import (
    PARTITIONS,
    TRIES,
    Read,
    batch,
    call,
    ignore,
    joined,
    polled,
    reading,
    renewed,
    rewound,
    until,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from domination.exactly_once.ports import Reader, Writer
    from harness.site import Site

BAD = Fault("bad", "it is bad")


@pytest.fixture(params=["memory", "kafka"])
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    """Give a site in memory, and one on a real Kafka."""
    if request.param == "memory":
        yield MemorySite()
        return
    with closing(KafkaSite(request.getfixturevalue("bootstrap_servers"))) as made:
        yield made


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


# A reader.


def test_a_poll_tells_where_each_partition_is_read_on(site: Site) -> None:
    site.send(0, *given(b"a", b"b"))
    site.send(1, *given(b"c"))
    found, places = polled(reading(site), 3)
    assert sorted((each.partition, each.offset, each.value) for each in found) == [
        (0, 0, b"a"),
        (0, 1, b"b"),
        (1, 0, b"c"),
    ]
    assert {partition: place.offset for partition, place in places.items()} == {0: 2, 1: 1}


def test_a_poll_brings_no_more_records_than_were_asked_for(site: Site) -> None:
    reader = reading(site)
    site.send(0, *given(b"a", b"b", b"c"))
    sizes = [len(found) for _ in range(20) if (found := reader.poll(0.1, 2)[0])]
    assert sum(sizes) == 3
    assert max(sizes) <= 2


def test_nothing_is_read_between_a_change_of_the_assignment_and_the_rewind(site: Site) -> None:
    site.send(0, *given(b"a"))
    reader = joined(site)
    assert [reader.poll(0.2, 10)[0] for _ in range(5)] == [None] * 5
    rewound(site, reader)
    assert list(batch(reader).values) == [b"a"]


def test_whoever_joins_is_called_back_before_it_is_a_member(site: Site) -> None:
    heard: list[tuple[Change, bool]] = []
    reader = site.reader("one", lambda change: heard.append((change, reader.member)))
    until(site, reader, lambda: reader.member)
    assert heard == [(Change.ORDERLY, False)]


def test_what_a_callback_raises_is_raised_by_the_poll(site: Site) -> None:
    def changes(_change: Change) -> None:
        raise BrokenContractError("told")

    with pytest.raises(BrokenContractError, match="told"):
        joined(site, changes=changes)


def test_a_rewind_goes_to_the_committed_offsets(site: Site) -> None:
    reader, writer = reading(site), opened(site)
    read_back(site, reader, b"a", b"b", b"c")
    commit(site, writer, reader, {0: Position(1)})
    rewound(site, reader)
    assert list(batch(reader).values) == [b"b", b"c"]


def test_first_offsets_are_to_be_committed_once(site: Site) -> None:
    reader = reading(site)
    assert dict(reader.take_unled()) == dict.fromkeys(range(PARTITIONS), Position(0))
    assert dict(reader.take_unled()) == {}


def test_committed_offsets_are_not_to_be_committed_again(site: Site) -> None:
    reader, writer = reading(site), opened(site)
    commit(site, writer, reader, {0: Position(0), 1: Position(0)})
    rewound(site, reader)
    assert dict(reader.take_unled()) == {}


def test_an_end_behind_what_nobody_sees_is_to_be_committed_once(site: Site) -> None:
    reader = reading(site)
    reader.take_unled()
    end = site.send_aborted(1)
    unled: dict[int, Position] = {}
    for _ in range(TRIES):
        assert reader.poll(0.1, 10)[0] is None
        unled |= reader.take_unled()
        if unled:
            break
    assert unled == {1: Position(end)}
    assert dict(reader.take_unled()) == {}


def test_a_reader_knows_what_the_group_has_and_what_it_has_read_itself(site: Site) -> None:
    reader = reading(site)
    read_back(site, reader, b"a")
    assert {p: (at.committed, at.read) for p, at in reader.places().items()} == {
        0: (0, 1),
        1: (0, 0),
    }
    reader.committed({0: Position(1)})
    assert reader.places()[0].committed == 1


def test_a_reader_knows_the_time_of_the_last_record_it_has_committed(site: Site) -> None:
    reader = reading(site)
    site.send(0, *given(b"a", b"b"))
    _, positions = polled(reader, 2)
    assert positions[0].timestamp == 1001
    assert reader.places()[0].timestamp == -1
    reader.committed(positions)
    assert {p: at.timestamp for p, at in reader.places().items()} == {0: 1001, 1: -1}
    reader.committed({0: Position(3)})  # Behind a marker.
    assert reader.places()[0].timestamp == 1001


def test_a_membership_stays_while_it_is_the_same_member(site: Site) -> None:
    reader = joined(site)
    rewinds = {rewound(site, reader) for _ in range(2)}
    assert rewinds == {reader.membership()[1]}


def test_who_takes_a_members_name_evicts_it_and_is_another_member(site: Site) -> None:
    first = joined(site)
    before = rewound(site, first)
    second = joined(site)
    assert rewound(site, second) != before
    with pytest.raises(EvictedError):
        until(site, first, lambda: False)


def test_partitions_move_to_who_joins_once_their_owner_has_been_told(site: Site) -> None:
    heard: list[Change] = []
    first = joined(site, "one", heard.append)
    heard.clear()
    second = site.reader("two", ignore)

    def moved() -> bool:
        second.poll(0.0, 1)
        return second.member and bool(heard)

    until(site, first, moved)
    assert set(heard) == {Change.ORDERLY}
    site.send(0, *given(b"a"))
    site.send(1, *given(b"b"))
    for _ in range(TRIES):
        found = {id(reader): set(_partitions(site, reader)) for reader in (first, second)}
        if all(found.values()):
            break
    assert sorted(found.values(), key=min) == [{0}, {1}]


def _partitions(site: Site, reader: Reader) -> list[int]:
    """Poll once from the committed offsets; give the partitions that records come from."""
    site.settle()
    reader.poll(0.0, 1)
    rewound(site, reader)
    records, _ = reader.poll(1.0, 100)
    return list(records.partitions) if records else []


def test_who_leaves_gives_its_partitions_up_at_once(site: Site) -> None:
    joined(site, "one").leave(5.0)
    site.send(1, *given(b"a"))
    assert list(batch(reading(site, "two")).values) == [b"a"]


def test_a_group_that_is_there_is_heard_and_a_member_may_have_partitions(site: Site) -> None:
    reader = site.reader("one", ignore)
    assert not reader.has_partitions
    assert reader.is_heard(10.0)
    until(site, reader, lambda: reader.member)
    assert reader.has_partitions


def test_who_is_asked_to_gives_all_places_again_to_be_committed_once_more(site: Site) -> None:
    reader = joined(site)
    rewound(site, reader)
    reader.take_unled()
    reader.rewind(5.0, again=True)
    assert set(reader.take_unled()) == {0, 1}


# A writer.


def test_records_are_seen_once_their_transaction_commits(site: Site) -> None:
    reader, writer = reading(site), opened(site)
    writer.write(read_back(site, reader, b"a", b"b").outcome([b"A", b"B"]))
    member, _ = reader.membership()
    writer.send_offsets({0: Position(2)}, member, 5.0)
    assert values(site, site.outputs[0]) == []
    end(site, writer.commit)
    assert values(site, site.outputs[0]) == [b"A", b"B"]
    assert site.committed()[0] == 2


def test_nothing_of_an_aborted_transaction_is_seen(site: Site) -> None:
    reader, writer = reading(site), opened(site)
    records = read_back(site, reader, b"a")
    writer.write(records.outcome([b"A"]))
    writer.send_offsets({0: Position(1)}, reader.membership()[0], 5.0)
    end(site, writer.abort)
    assert values(site, site.outputs[0]) == []
    assert 0 not in site.committed()
    writer.begin()
    writer.write(records.outcome([b"again"]))
    commit(site, writer, reader, {0: Position(1)})
    assert values(site, site.outputs[0]) == [b"again"]


def test_a_renewal_fences_an_older_writer_of_the_same_id(site: Site) -> None:
    reader, old = reading(site), opened(site)
    old.write(read_back(site, reader, b"a").outcome([b"A"]))
    old.send_offsets({0: Position(1)}, reader.membership()[0], 5.0)
    renewed(site.writer("one", 1))
    with pytest.raises(CallError) as raised:
        call(lambda: old.commit(5.0))
    assert raised.value.failure is Failure.FENCED
    assert isinstance(raised.value.fault, FencedError)
    assert values(site, site.outputs[0]) == []
    assert 0 not in site.committed()


def test_offsets_of_who_is_no_member_any_more_are_refused(site: Site) -> None:
    reader, writer = reading(site), opened(site)
    writer.write(read_back(site, reader, b"a").outcome([b"A"]))
    member, _ = reader.membership()
    joined(site)
    with pytest.raises(CallError) as raised:
        writer.send_offsets({0: Position(1)}, member, 5.0)
    assert raised.value.failure is Failure.ABORTABLE
    assert raised.value.fault is None
    end(site, writer.abort)
    assert values(site, site.outputs[0]) == []
    assert 0 not in site.committed()


@pytest.mark.parametrize("commits", [True, False])
def test_a_doubt_is_remembered_until_the_writer_is_renewed(site: Site, commits: bool) -> None:
    reader, writer = reading(site), opened(site)
    records = read_back(site, reader, b"a")
    assert not writer.in_doubt()
    held = site.hold(commits)
    writer.write(records.outcome([b"A"]))
    writer.send_offsets({0: Position(1)}, reader.membership()[0], 5.0)
    end(site, writer.commit if commits else writer.abort)
    assert writer.in_doubt()
    renewed(writer)
    assert not writer.in_doubt()
    # What comes late is refused, and the next transaction is whole.
    writer.begin()
    writer.write(records.outcome([b"B"]))
    writer.send_offsets({1: Position(0)}, reader.membership()[0], 5.0)
    held.deliver()
    assert values(site, site.outputs[0]) == ([b"A"] if commits else [])
    end(site, writer.commit)
    assert values(site, site.outputs[0]) == ([b"A", b"B"] if commits else [b"B"])


def test_who_is_discarded_says_so_and_works_again_once_renewed(site: Site) -> None:
    reader, writer = reading(site), opened(site)
    records = read_back(site, reader, b"a")
    writer.write(records.outcome([b"lost"]))
    writer.discard()
    assert writer.unsent == 0
    assert not writer.in_doubt()
    for use in (
        writer.begin,
        lambda: writer.write(records.outcome([b"A"])),
        lambda: writer.commit(5.0),
    ):
        with pytest.raises(CallError) as raised:
            use()
        assert raised.value.echo
    renewed(writer).begin()
    writer.write(records.outcome([b"A"]))
    commit(site, writer, reader, {0: Position(1)})
    assert values(site, site.outputs[0]) == [b"A"]


def written(site: Site, *read: bytes | None, outputs: int = 1, **columns: Any) -> list[Read]:
    """Commit the outcome of records whose values stay, and give what is in the first output."""
    reader, writer = reading(site), opened(site, outputs=outputs)
    records = read_back(site, reader, *read)
    writer.write(records.outcome(list(read), **columns))
    commit(site, writer, reader, {0: Position(len(read))})
    return site.read(site.outputs[0])


def test_what_an_outcome_does_not_say_is_carried_over_from_its_record(site: Site) -> None:
    assert written(site, b"a", b"b") == [
        Read(b"key", b"a", [("name", b"body")], 1000),
        Read(b"key", b"b", [("name", b"body")], 1001),
    ]


def test_what_an_outcome_says_wins(site: Site) -> None:
    columns: dict[str, Any] = {"keys": [None], "headers": [[("mine", None)]], "timestamps": [5]}
    assert written(site, b"a", **columns) == [Read(None, b"a", [("mine", None)], 5)]


def test_a_value_may_be_a_tombstone(site: Site) -> None:
    assert [each.value for each in written(site, b"a", None)] == [b"a", None]


def test_an_outcome_chooses_the_topic_of_each_value(site: Site) -> None:
    left, right = site.outputs
    topics = [left, right, left]
    assert [each.value for each in written(site, b"a", b"b", b"c", outputs=2, topics=topics)] == [
        b"a",
        b"c",
    ]
    assert values(site, right) == [b"b"]


def test_an_outcome_chooses_among_the_topics_there_are(site: Site) -> None:
    records = Records("in", [b"a"])
    with pytest.raises(BrokenContractError, match="no topic"):
        opened(site, outputs=2).write(records.outcome([b"A"]))
    with pytest.raises(BrokenContractError, match="other"):
        opened(site, "two").write(records.outcome([b"A"], topics=["other"]))


def test_rejects_are_laid_aside_whole_with_their_reason_unless_they_are_dropped(
    site: Site,
) -> None:
    reader, writer = reading(site), opened(site)
    records = read_back(site, reader, b"a", b"b", b"c")
    left = records.reject([None, BAD, None]).reject([BAD, None], drop=True)
    writer.write(left.outcome([b"C"]))
    commit(site, writer, reader, {0: Position(3)})
    (letter,) = site.read(site.dead_letters)
    assert letter[:2] == (b"key", b"b")
    assert letter.headers[:3] == [
        ("name", b"body"),
        ("site.error.reason", b"bad"),
        ("site.error.message", b"it is bad"),
    ]
    assert dict(letter.headers)["site.error.offset"] == b"1"
    assert values(site, site.outputs[0]) == [b"C"]


def test_a_value_that_its_topic_does_not_take_becomes_a_dead_letter(site: Site) -> None:
    site.limit(site.outputs[0], 2000)
    reader, writer = reading(site), opened(site)
    records = read_back(site, reader, b"a", b"b", b"c")
    rejects = writer.write(Outcome(records, [b"A", b"B" * 3000, b"C"]))
    assert [(each.place, each.fault.reason) for each in rejects] == [(1, "too_large")]
    commit(site, writer, reader, {0: Position(3)})
    assert values(site, site.outputs[0]) == [b"A", b"C"]
    (letter,) = site.read(site.dead_letters)
    assert letter.value == b"b"
    assert ("site.error.reason", b"too_large") in letter.headers


def test_a_topic_that_takes_less_than_before_is_learned_by_a_renewal(site: Site) -> None:
    reader, writer = reading(site), opened(site)
    records = read_back(site, reader, b"a", b"b")
    site.limit(site.outputs[0], 2000)
    large = random.Random(1).randbytes(3000)  # Which no codec makes smaller.
    # A call that the refusal overtakes tells only that the transaction has failed.
    while True:
        writer.write(records.outcome([large, b"B"]))
        with pytest.raises(CallError) as raised:
            commit(site, writer, reader, {0: Position(2)})
        if raised.value.too_large:
            break
        renewed(writer).begin()
    writer.shrink()
    renewed(writer).begin()
    rejects = writer.write(records.outcome([large, b"B"]))
    assert [each.place for each in rejects] == [0]
    commit(site, writer, reader, {0: Position(2)})
    assert values(site, site.outputs[0]) == [b"B"]


def test_who_closes_aborts_what_is_open(site: Site) -> None:
    reader, writer = reading(site), opened(site)
    writer.write(read_back(site, reader, b"a").outcome([b"A"]))
    writer.send_offsets({0: Position(1)}, reader.membership()[0], 5.0)
    writer.close(5.0)
    site.ended()
    assert values(site, site.outputs[0]) == []
    # It holds nothing back.
    assert list(batch(_again(site, reader)).values) == [b"a"]


def _again(site: Site, reader: Reader) -> Reader:
    rewound(site, reader)
    return reader
