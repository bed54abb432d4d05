"""The JSON Schemas of the three records say what the code writes, reads and refuses."""

from __future__ import annotations

import json
import re
from datetime import datetime, timezone
from decimal import Decimal
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from domination.exactly_once.batch import Fault, Record
from domination.exactly_once.options import LONGEST_TOPIC, unfit
from domination.humans import encoded, human_ratings
from domination.letter import FORM
from domination.ratings import Rating, Reason, parse
from domination.shadow import VERDICTS, ShadowType
from domination.shadows import encode
from harness import strategies
from harness.processes import ROOT
from harness.records import BAD

if TYPE_CHECKING:
    from collections.abc import Callable

    from domination.exactly_once.batch import Headers

SCHEMAS: Final = {
    path.name.partition(".")[0]: json.loads(path.read_text())
    for path in (ROOT / "schema").glob("*.json")
}
RATING, SHADOW, LETTER = (
    Draft202012Validator(SCHEMAS[name]) for name in ("rating", "shadow", "dead_letter")
)
# What is no JSON has no form that a schema could speak of.
FORMLESS: Final = {Reason.TOMBSTONE, Reason.EMPTY, Reason.NOT_UTF8, Reason.NOT_JSON}
NOW: Final = datetime(2026, 11, 23, 10, 0, 0, 123_456, tzinfo=timezone.utc)


@pytest.mark.parametrize("name", SCHEMAS)
def test_each_is_a_schema_of_draft_2020_12_whose_examples_fit(name: str) -> None:
    schema = SCHEMAS[name]
    assert schema["$schema"] == Draft202012Validator.META_SCHEMA["$id"]
    Draft202012Validator.check_schema(schema)
    for each in schema["examples"]:
        Draft202012Validator(schema).validate(each)


def document(value: bytes, fraction: Callable[[str], object] = Decimal) -> Any:
    """Read JSON as the worker does: what it ignores need not be UTF-8, nor a number be small."""
    text = value.decode(errors="replace")
    return json.loads(text, parse_float=fraction, parse_int=lambda digits: int(digits[:40]))


@given(strategies.good | strategies.nested | strategies.strange_fields)
@example(b'{"rating":9223372036854775807,"unique_id":"x"}')
@example(b'{"rating":9223372036854775808,"unique_id":"x"}')
@example(b'{"rating":-9223372036854775808,"unique_id":"x"}')
@example(b'{"rating":-9223372036854775809,"unique_id":"x"}')
@example(b'{"rating":true,"unique_id":"x"}')
def test_a_rating_fits_if_and_only_if_the_worker_reads_it(value: bytes) -> None:
    parsed = parse(value)
    assume(isinstance(parsed, Rating) or parsed.reason not in FORMLESS)
    assert RATING.is_valid(document(value)) == isinstance(parsed, Rating)


@pytest.mark.parametrize(
    "value", [each for each, reason in BAD.items() if reason not in FORMLESS], ids=repr
)
def test_each_bad_record_that_is_json_does_not_fit(value: bytes) -> None:
    whole = value == b'{"rating":3.0,"unique_id":"x"}'
    assert RATING.is_valid(document(value, float)) == whole
    # To a schema 3.0 is an integer; so it says in words that it is none here.
    assert not whole or "3, not 3.0" in SCHEMAS["rating"]["description"]


def test_what_produce_sends_fits() -> None:
    for _, value in encoded(islice(human_ratings(1), 50)):
        RATING.validate(document(value))


@given(
    st.lists(st.tuples(st.sampled_from(ShadowType), strategies.unique_ids), max_size=5),
    st.datetimes(timezones=st.just(timezone.utc)),
)
def test_each_shadow_fits(people: list[tuple[ShadowType, str]], emitted: datetime) -> None:
    for value in encode(people, emitted):
        SHADOW.validate(json.loads(value))


GOOD: Final = json.loads(encode([(ShadowType.SHA, "x")], NOW)[0])


@pytest.mark.parametrize(
    "broken",
    [
        *({name: each for name, each in GOOD.items() if name != left} for left in GOOD),
        *(GOOD | {"type": each} for each in (-1, 4, "1", 1.5, None, True)),
        *(GOOD | {"unique_id": each} for each in ("", 7, None)),
        *(
            GOOD | {"emit_timestamp": each}
            for each in (
                *("2026-11-23T10:00:00.123", "2026-11-23 10:00:00.123Z", "2026-11-23 10:00:00"),
                *("2026-13-23 10:00:00.123", "2026-11-23 24:00:00.123", "", 0, None),
            )
        ),
        [GOOD],
    ],
    ids=repr,
)
def test_what_is_no_shadow_does_not_fit(broken: object) -> None:
    assert SHADOW.is_valid(GOOD)
    assert not SHADOW.is_valid(broken)


def test_the_schemas_the_picture_and_the_tables_have_the_same_fields() -> None:
    readme = (ROOT / "README.md").read_text()
    picture = readme.partition("topic dominate ──>")[2].partition("```")[0]
    drawn = re.findall(r'"(\w+)":', picture)
    rating, shadow = (SCHEMAS[name]["required"] for name in ("rating", "shadow"))
    assert sorted(drawn) == sorted([*rating, *shadow])
    assert set(Rating.__struct_fields__) == set(rating)
    assert list(GOOD) == shadow
    table = (ROOT / "schema" / "1_shadow.sql").read_text()
    kinds = SCHEMAS["shadow"]["properties"]["type"]
    assert kinds["enum"] == sorted({*VERDICTS})
    for kind in VERDICTS:
        assert f"'{kind.label}' = {kind:d}" in table
        assert f"{kind:d} {kind.label}" in kinds["description"]
    assert all(re.search(rf"^ +{name} ", table, re.MULTILINE) for name in shadow)


def told(headers: Headers) -> dict[str, str]:
    """Give headers as a reader sees them: text, the last of each name."""
    return {
        name: value if isinstance(value, str) else (value or b"").decode(errors="replace")
        for name, value in headers
    }


topics = st.text("aZ09._-", min_size=1).filter(lambda topic: unfit(topics=[topic]) is None)
faults = st.builds(Fault, st.sampled_from(Reason), strategies.texts)
places = st.tuples(topics, st.integers(0, 2**31 - 1), st.integers(0, 2**63 - 1))
originals = st.lists(st.tuples(strategies.texts, st.none() | st.binary(max_size=4)), max_size=3)


@given(faults, places, st.integers(-1, 2**63 - 1), st.none() | originals)
@example(Fault(Reason.EMPTY, ""), ("a" * LONGEST_TOPIC, 0, 0), -1, None)
def test_each_dead_letter_fits(
    fault: Fault, place: tuple[str, int, int], timestamp: int, original: Headers | None
) -> None:
    headers = FORM.write(Record(*place, timestamp, None, None, original or []), fault, original)
    LETTER.validate(told(headers))
    # A letter of a letter: ours come last.
    again = FORM.write(Record(*place, timestamp, None, None, headers), fault, headers)
    LETTER.validate(told(again))


ONE: Final = told(FORM.write(Record("t", 0, 0, 0, None, None, []), Fault(Reason.EMPTY, "m"), []))


@given(st.sampled_from(sorted(ONE)), strategies.texts | st.integers().map(str))
@example("domination.error.offset", "-1")
@example("domination.error.partition", "0x1")
@example("domination.error.timestamp", "9" * 20)
def test_what_fits_is_read_as_a_letter(name: str, text: str) -> None:
    changed = ONE | {name: text}
    if LETTER.is_valid(changed):
        assert FORM.read([(each, value.encode()) for each, value in changed.items()])


@pytest.mark.parametrize("left", ONE)
def test_a_letter_that_lacks_a_header_does_not_fit(left: str) -> None:
    assert LETTER.is_valid(ONE)
    assert not LETTER.is_valid({name: text for name, text in ONE.items() if name != left})


def test_the_schema_and_the_reference_have_each_header_and_each_reason() -> None:
    schema = SCHEMAS["dead_letter"]
    reference = (ROOT / "docs" / "reference.md").read_text()
    assert schema["required"] == list(ONE)
    assert schema["properties"]["domination.error.reason"]["enum"] == [
        each.value for each in Reason
    ]
    for name in schema["properties"]:
        assert f"`{name}`" in reference or f"`.{name.rpartition('.')[2]}`" in reference
    assert f"`{FORM.replayed}`" in (ROOT / "docs" / "operate.md").read_text()
    assert FORM.replayed in schema["description"]
