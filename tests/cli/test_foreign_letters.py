"""Records and headers of others in the dead-letter topic: they break nothing and hide nothing."""

from __future__ import annotations

from contextlib import closing
from datetime import datetime
from typing import TYPE_CHECKING, Final

import orjson
import pytest
from confluent_kafka import Producer
from hypothesis import given
from hypothesis import strategies as st

from domination.exactly_once.batch import Fault, Record
from domination.letter import FORM
from domination.monitor.topics import TopicsProbe
from domination.settings import from_environment
from harness import foreign
from harness.letters import FAULT, command, good, lay, sent_back
from harness.processes import eventually

if TYPE_CHECKING:
    from domination.exactly_once.batch import Header, Headers
    from domination.monitor.topics import DeadLetterCounts
    from harness.pipeline import Pipeline

CLAIMS: Final[dict[str, list[bytes | None]]] = {
    "a letter": [b"0"],
    "no number": [b"x"],
    "a huge number": [b"9" * 5_000],
    "not UTF-8": [b"\xff"],
    "other digits": ["\u0663".encode()],
    "None": [None],
    "empty": [b""],
    "twice": [b"0", b"1"],
}
"""What a header says that is named as a mark's is."""


def named(claims: list[bytes | None]) -> Headers:
    return [(FORM.replayed, each) for each in claims]


def send(pipeline: Pipeline, headers: Headers, value: bytes | None = None) -> None:
    """Write into each partition of the dead letters what no worker does."""
    producer = Producer({"bootstrap.servers": pipeline.bootstrap_servers})
    for place in pipeline.partitions(pipeline.dead):
        producer.produce(pipeline.dead, value, partition=place.partition, headers=headers)
    assert producer.flush(30) == 0


def counted(pipeline: Pipeline) -> DeadLetterCounts:
    """Give what the monitor counts, once it has read all."""
    with closing(TopicsProbe(from_environment(pipeline.environment), lags=lambda: None)) as probe:
        eventually(lambda: probe.look().dead_letters.whole)
        return probe.look().dead_letters


@pytest.mark.parametrize("claims", CLAIMS.values(), ids=CLAIMS)
def test_a_letter_whose_record_looked_like_a_mark_is_a_letter(
    pipeline: Pipeline, claims: list[bytes | None]
) -> None:
    pipeline.create()
    lay(pipeline, good(20))
    lay(pipeline, good(21)[20:], headers=named(claims))
    assert "21 open" in command(pipeline, "list")
    assert "21 sent back" in command(pipeline, "replay", "--yes")
    assert "0 open" in command(pipeline, "list")
    assert sent_back(pipeline) == sorted(good(21), key=str)
    assert counted(pipeline) == (({FAULT.reason: 21}, 0, True, 0), 21, True)


@pytest.mark.parametrize(
    ("claims", "value"),
    [
        *((claims, None) for what, claims in CLAIMS.items() if what != "a letter"),
        ([b"0"], b"a value"),
        ([b"999"], None),
    ],
)
def test_a_record_of_others_that_is_no_mark_hides_no_letter(
    pipeline: Pipeline, claims: list[bytes | None], value: bytes | None
) -> None:
    pipeline.create()
    lay(pipeline, good(5))
    send(pipeline, named(claims), value)
    assert "5 open" in command(pipeline, "list")
    told = command(pipeline, "replay", "--yes")
    assert "2 skipped: not a dead letter" in told
    assert "5 sent back" in told
    assert counted(pipeline) == (({FAULT.reason: 5}, 0, True, 0), 5, True)


def test_a_letter_that_cannot_be_read_is_counted_and_left(pipeline: Pipeline) -> None:
    pipeline.create()
    lay(pipeline, good(5))
    foreign.send(pipeline.bootstrap_servers, pipeline.dead, b"bad", b"key", [(b"\xff", b"1")])
    own = [*FORM.write(_record(pipeline), FAULT, [])]
    for value in (None, b"\xff", b"9" * 5_000):
        send(pipeline, [*own[:-1], (own[-1][0], value)], b"bad")
    told = command(pipeline, "replay", "--yes")
    assert "7 skipped: not a dead letter" in told
    assert "5 sent back" in told


def _record(pipeline: Pipeline) -> Record:
    return Record(pipeline.input, 0, 0, 0, None, b"bad", [])


def test_letters_go_to_the_input_topic_whatever_they_say(pipeline: Pipeline) -> None:
    pipeline.create()
    victim = f"{pipeline.input}-victim"
    sources = [victim, "a\0b", "no/topic", "x" * 1_000, "", "__consumer_offsets"]
    for number, topic in enumerate(sources):
        lay(pipeline, good(number + 1)[number:], topic=topic)
    assert f"6 would be sent back to {pipeline.input}" in command(pipeline, "replay")
    assert f"6 sent back to {pipeline.input}" in command(pipeline, "replay", "--yes")
    assert sent_back(pipeline) == sorted(good(6), key=str)
    assert victim not in pipeline.admin.list_topics(timeout=120).topics


def test_what_others_wrote_moves_no_cursor(pipeline: Pipeline) -> None:
    pipeline.create()
    evil = "\x1b[2J\x9b\u202e\r\n\t\x07"
    lay(
        pipeline,
        [evil.encode()],
        Fault(evil, evil),
        topic=evil,
        headers=[(evil.replace("\0", ""), evil.encode()), ("none", None)],
    )
    (row, *_) = command(pipeline, "list", "--format", "json").splitlines()
    letter = orjson.loads(row)
    place = f"{letter['partition']}:{letter['offset']}"
    for told in (command(pipeline, "list"), command(pipeline, "show", place)):
        assert "\\x1b[2J" in told
        assert all(line.isprintable() for line in told.split("\n"))
    assert letter["origin"]["topic"] == evil


def test_a_letter_is_shown_as_people_and_programs_read_it(pipeline: Pipeline) -> None:
    pipeline.create()
    lay(pipeline, good(1))
    (row,) = command(pipeline, "list", "--format", "json").splitlines()
    letter = orjson.loads(row)
    place = f"{letter['partition']}:{letter['offset']}"
    assert datetime.fromisoformat(letter["origin"]["timestamp"]).timestamp() == 1_700_000_000
    told = dict(line.split(maxsplit=1) for line in command(pipeline, "show", place).splitlines())
    assert orjson.loads(told["origin"]) == letter["origin"]
    assert orjson.loads(told["headers"]) == [["trace", "\x00"], ["trace", None]]
    assert (told["truncated"], told["key"]) == ("false", "key-0")
    assert told["value"].encode() == good(1)[0]


@given(
    key=st.none() | st.binary(),
    value=st.none() | st.binary(),
    found=st.lists(
        st.tuples(st.just(FORM.replayed) | st.text(), st.none() | st.binary() | st.just(b"7"))
    ),
)
def test_only_what_has_nothing_but_its_header_is_a_mark(
    key: bytes | None, value: bytes | None, found: list[Header]
) -> None:
    marked = FORM.marked(key, value, found)
    assert FORM.marked(None, None, FORM.mark(7)) == 7
    if marked is not None:
        assert (key, value) == (None, None)
        assert [(name, int(str(body, "ascii"))) for name, body in found] == [  # type: ignore[arg-type]
            (FORM.replayed, marked)
        ]
