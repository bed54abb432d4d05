"""What each reader promises, held against Kafka and against the model of it."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from domination.exactly_once.batch import BrokenContractError
from domination.exactly_once.errors import MadeAgainError
from domination.exactly_once.ports import CallError, Change, EvictedError
from domination.exactly_once.rule import Position
from harness.site import (
    PARTITIONS,
    TRIES,
    batch,
    commit,
    given,
    ignore,
    joined,
    opened,
    polled,
    read_back,
    reading,
    rewound,
    until,
)

if TYPE_CHECKING:
    from domination.exactly_once.ports import Reader
    from harness.site import Site


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
    sizes = []
    for _ in range(TRIES):
        found, _ = reader.poll(0.1, 2)
        sizes += [len(found)] if found else []
        if sum(sizes) >= 3:
            break
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


def test_a_topic_that_was_created_again_is_not_read_on(site: Site) -> None:
    reader = reading(site)
    site.make_again()
    with pytest.raises(MadeAgainError):
        _rewound_unpolled(reader)


def _rewound_unpolled(reader: Reader) -> None:
    """Rewind as soon as the cluster answers; a poll may tell first that the topic is missing."""
    for _ in range(TRIES):
        with suppress(CallError):
            reader.rewind(5.0)
            return


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


def test_it_tells_where_it_reads_on_in_what_it_has(site: Site) -> None:
    reader = site.reader("one", ignore)
    assert reader.reading == {}
    until(site, reader, lambda: reader.member)
    rewound(site, reader)
    site.send(1, *given(b"a", b"b"))
    batch(reader)
    assert reader.reading == {0: 0, 1: 2}


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
