"""What each writer promises, held against Kafka and against the model of it."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

from domination.exactly_once.batch import BrokenContractError, Fault, Outcome, Records
from domination.exactly_once.ports import CallError
from domination.exactly_once.rule import Failure, Position
from domination.kafka.faults import FencedError
from harness.site import (
    Read,
    batch,
    call,
    commit,
    end,
    joined,
    opened,
    read_back,
    reading,
    renewed,
    rewound,
    values,
)

if TYPE_CHECKING:
    from domination.exactly_once.ports import Reader
    from harness.site import Site

BAD = Fault("bad", "it is bad")


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
