"""Dead letters are listed, shown and sent back on a real Kafka, each once."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domination.dead_letters import DeadLetterTopic
from domination.errors import DominationError, Exit
from domination.exactly_once.batch import Fault, Header, Record
from domination.exactly_once.dead_letter import Coordinates, DeadLetter
from domination.letter import FORM
from domination.ratings import Reason
from domination.settings import from_environment
from harness.letters import HEADERS, NOT_JSON, command, good, lay, sent_back
from harness.records import BAD

if TYPE_CHECKING:
    from harness.pipeline import Pipeline


def listed(pipeline: Pipeline, *arguments: str) -> list[dict[str, Any]]:
    found = command(pipeline, "list", "--limit", "9999", "--format", "json", *arguments)
    return [orjson.loads(line) for line in found.splitlines()]


def test_what_a_worker_laid_aside_is_listed_by_reason_and_shown_whole(pipeline: Pipeline) -> None:
    pipeline.create(partitions=1)
    bad = {value: reason for value, reason in BAD.items() if len(value or b"") < 10_000}
    pipeline.send((value, b"\xffkey") for value in bad)
    worker = pipeline.worker()
    pipeline.drained()
    assert worker.stop() == 0
    letters = listed(pipeline)
    by_offset = {letter["origin"]["offset"]: letter for letter in letters}
    assert [by_offset[n]["reason"] for n in range(len(bad))] == list(bad.values())
    assert {letter["origin"]["topic"] for letter in letters} == {pipeline.input}
    (missing,) = listed(pipeline, "--reason", "unique_id_missing")
    place = f"{missing['partition']}:{missing['offset']}"
    shown = orjson.loads(command(pipeline, "show", place, "--format", "json"))
    assert (shown["key"], shown["value"]) == ("\\xffkey", '{"rating":3}')
    table = command(pipeline, "list", "--limit", "0").splitlines()
    assert table[-1].split() == [str(len(bad)), "open"]
    assert ["2", "rating_out_of_range"] in [line.split() for line in table]


def test_letters_go_back_as_they_were_each_once(pipeline: Pipeline) -> None:
    pipeline.create()
    worker = pipeline.worker()
    pipeline.started()
    lay(pipeline, good(1200))
    assert "1,200 would be sent back" in command(pipeline, "replay")
    assert sent_back(pipeline) == []
    assert "7 sent back" in command(pipeline, "replay", "--limit", "7", "--yes")
    assert "1,193 sent back" in command(pipeline, "replay", "--yes")
    assert "0 sent back" in command(pipeline, "replay", "--yes")
    assert sent_back(pipeline) == sorted(good(1200), key=str)
    records = pipeline.read(pipeline.input).records
    assert {each.key() for each in records} == {b"key-%d" % number for number in range(1200)}
    assert all(each.headers() == HEADERS for each in records)
    assert listed(pipeline) == []
    # The markers of the transactions that sent them count as well.
    pipeline.drained()
    assert worker.stop() == 0
    assert len(pipeline.read(pipeline.output).records) == 1200


def test_reasons_are_sent_back_in_any_order(pipeline: Pipeline) -> None:
    pipeline.create()
    one, other = good(20)[:10], good(20)[10:]
    for first, second in zip(one, other, strict=True):
        lay(pipeline, [first], NOT_JSON)
        lay(pipeline, [second])
    assert "10 sent back" in command(pipeline, "replay", "--reason", "rating_out_of_range", "--yes")
    assert sent_back(pipeline) == sorted(other, key=str)
    assert {letter["reason"] for letter in listed(pipeline)} == {"not_json"}
    assert "10 sent back" in command(pipeline, "replay", "--yes")
    assert sent_back(pipeline) == sorted(good(20), key=str)


def test_what_would_fail_again_or_is_not_whole_stays(pipeline: Pipeline) -> None:
    pipeline.create(output={"max.message.bytes": "2000"})
    large = b'{"rating":3,"unique_id":"%b"}' % (b"x" * 3000)
    lay(pipeline, [b"{", large], NOT_JSON)
    lay(pipeline, [b""], truncated=True)
    told = command(pipeline, "replay", "--yes")
    assert "1 skipped: would fail again (not_json)" in told
    assert "1 skipped: would fail again (shadow_too_large)" in told
    assert "1 skipped: truncated" in told
    assert "0 sent back" in told
    assert sent_back(pipeline) == []
    assert "2 sent back" in command(pipeline, "replay", "--force", "--yes")
    assert sent_back(pipeline) == sorted([b"{", large], key=str)


def test_a_letter_stays_whose_headers_make_its_shadow_too_large(pipeline: Pipeline) -> None:
    pipeline.create(output={"max.message.bytes": "2000"})
    lay(pipeline, good(1), headers=[("trace", b"x" * 2000)])
    assert "1 skipped: would fail again (shadow_too_large)" in command(pipeline, "replay", "--yes")
    assert sent_back(pipeline) == []


@pytest.mark.parametrize("group", [None, "another"], ids=["one group", "two groups"])
def test_of_two_replays_the_later_ends_the_other_and_each_letter_goes_once(
    pipeline: Pipeline, group: str | None
) -> None:
    pipeline.create()
    lay(pipeline, good(1200))
    settings = from_environment(pipeline.environment)
    first = DeadLetterTopic(settings).replay()
    second = DeadLetterTopic(replace(settings, group=group or settings.group)).replay()
    sent = next(first)
    assert sent > 0
    assert sum(second) == 1200 - sent
    with pytest.raises(DominationError, match=f"another replay of {pipeline.dead} runs") as fenced:
        next(first)
    assert fenced.value.exit_code is Exit.TEMPORARY
    assert sent_back(pipeline) == sorted(good(1200), key=str)


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("show", "12"), 2, "PARTITION:OFFSET"),
        (("show", "0:12"), 78, "no dead letter at 0:12"),
        (("show", "0:999999999999999999999"), 78, "no dead letter at 0:9"),
        (("show", "99:0"), 78, "no dead letter at 99:0"),
        (("list", "--reason", "no_such"), 2, "no_such"),
    ],
)
def test_a_wrong_argument_is_one_line(
    pipeline: Pipeline, arguments: tuple[str, ...], code: int, says: str
) -> None:
    pipeline.create()
    lines = command(pipeline, *arguments, code=code).splitlines()
    assert says in lines[-1]
    assert code == 2 or len(lines) == 1


def test_a_missing_topic_is_one_line(pipeline: Pipeline) -> None:
    assert "domination topics" in command(pipeline, "list", code=78)


@given(
    own=st.lists(st.tuples(st.text(), st.none() | st.binary())),
    message=st.text(),
    offset=st.integers(0, 2**63 - 1),
    depth=st.integers(1, 3),
    truncated=st.booleans(),
)
def test_headers_are_read_as_they_were_written(
    own: list[Header], message: str, offset: int, depth: int, truncated: bool
) -> None:
    fault = Fault(Reason.NOT_JSON, message)
    at = Coordinates("topic", 1, offset, -1)
    record = Record(*at, None, None, own)
    kept = own
    for _ in range(depth - 1):  # A dead letter's dead letter.
        kept = FORM.write(record, fault, kept)
    written = FORM.write(record, fault, None if truncated else kept)
    found = DeadLetter("not_json", message, at, [] if truncated else kept, truncated)
    assert FORM.read(written) == found


@given(st.lists(st.tuples(st.text(), st.none() | st.binary())))
def test_other_headers_are_those_of_no_letter(found: list[Header]) -> None:
    assert FORM.read(found) is None
