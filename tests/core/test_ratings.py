"""Bytes to ratings: what is read, what is refused, and why."""

from __future__ import annotations

import threading
import tracemalloc

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from domination.exactly_once.batch import Fault
from domination.ratings import DEEPEST, Rating, Reason, parse, read
from harness import ratings_oracle, strategies

GOOD = b'{"rating":3,"unique_id":"x"}'


@given(strategies.batches)
@example([b'{"rating":3', b'"unique_id":"x"}'])
@example([b'{"rating":3,"unique_id":"x"},{"rating":5', b'"unique_id":"y"}'])
@example([b'{"rating":3,"unique_id":"x"},{"rating":5,"unique_id":"y","z":[{}', b'{}],"w":1}'])
@example([GOOD, GOOD + b"," + GOOD, GOOD])
@example([b'{"rating":"3","unique_id":"x","rating":5}', GOOD])
@example([b'{"rating":3,"unique_id":"\xff","unique_id":"x"}', GOOD])
@example([b'{"rating":3,"unique_id":"x","more":%b}' % (b"[" * DEEPEST + b"]" * DEEPEST)])
def test_a_batch_is_read_as_its_records_one_by_one(values: list[bytes | None]) -> None:
    assert read(values) == [parse(value) for value in values]


@given(strategies.values)
@example(b'{"rating":9223372036854775808,"unique_id":"x"}')
@example(b'{"rating":3,"unique_id":"x","more":1e999}')
@example(b'{"rating":3,"unique_id":"x","more":"\\ud800"}')
@example(b'{"rating":3,"unique_id":"x","more":"\xff"}')
@example(b'{"rating":3,"unique_id":"x","more":{"\xff":1%b}}' % (b"0" * 5000))
@example(b'{"rating":3,"unique_id":"x","more":%b}' % (b"[" * 499 + b"]" * 499))
@example(b'{"rating":3,"unique_id":"x","more":%b}' % (b"[" * 500 + b"]" * 500))
@example(b'{"rating":3,"unique_id":"%b"}' % (b'[{\\"' * 500))
@example(b'{"rat\\u0069ng":3,"unique_id":"x"}')
@example(b'{"rating":-0,"unique_id":"\\u0000"}')
@example(b'{"rating":3,"unique_id":"x","rating":"5"}')
@example(b'{"rating":"3","unique_id":"x","rating":5}')
def test_what_is_read_is_what_the_standard_parser_reads(value: bytes | None) -> None:
    parsed = parse(value)
    human = ratings_oracle.human(value)
    assert parsed == Rating(*human) if human else isinstance(parsed, Fault)


@given(st.lists(st.tuples(strategies.ratings, strategies.unique_ids)))
def test_good_records_are_never_rejected(humans: list[tuple[int, str]]) -> None:
    values = [
        orjson.dumps(dict(zip(("rating", "unique_id"), human, strict=True))) for human in humans
    ]
    assert read(values) == [Rating(*human) for human in humans]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, Reason.TOMBSTONE),
        (b"", Reason.EMPTY),
        (b'{"rating":3,"unique_id":"x"', Reason.NOT_JSON),
        (GOOD + GOOD, Reason.NOT_JSON),
        (GOOD + b"\n" + GOOD, Reason.NOT_JSON),
        (GOOD + b"," + GOOD, Reason.NOT_JSON),
        (b"[" + GOOD + b"]", Reason.NOT_AN_OBJECT),
        (b'"x"', Reason.NOT_AN_OBJECT),
        (b"3", Reason.NOT_AN_OBJECT),
        (b"null", Reason.NOT_AN_OBJECT),
        (b'{"rating":3,"unique_id":"\xff"}', Reason.NOT_UTF8),
        (b"\xef\xbb\xbf" + GOOD, Reason.NOT_JSON),
        (b'{"unique_id":"x"}', Reason.RATING_MISSING),
        (b'{"rating":3}', Reason.UNIQUE_ID_MISSING),
        (b'{"rating":"3","unique_id":"x"}', Reason.RATING_NOT_AN_INTEGER),
        (b'{"rating":3.0,"unique_id":"x"}', Reason.RATING_NOT_AN_INTEGER),
        (b'{"rating":3e0,"unique_id":"x"}', Reason.RATING_NOT_AN_INTEGER),
        (b'{"rating":true,"unique_id":"x"}', Reason.RATING_NOT_AN_INTEGER),
        (b'{"rating":null,"unique_id":"x"}', Reason.RATING_NOT_AN_INTEGER),
        (b'{"rating":[3],"unique_id":"x"}', Reason.RATING_NOT_AN_INTEGER),
        (b'{"rating":NaN,"unique_id":"x"}', Reason.NOT_JSON),
        (b'{"rating":9223372036854775808,"unique_id":"x"}', Reason.RATING_OUT_OF_RANGE),
        (b'{"rating":-9223372036854775809,"unique_id":"x"}', Reason.RATING_OUT_OF_RANGE),
        (b'{"rating":1%b,"unique_id":"x"}' % (b"0" * 60), Reason.RATING_OUT_OF_RANGE),
        (b'{"rating":-1%b,"unique_id":"x"}' % (b"0" * 9000), Reason.RATING_OUT_OF_RANGE),
        (b'{"rating":1e999,"unique_id":"x"}', Reason.RATING_NOT_AN_INTEGER),
        (b'{"rating":"\xff","unique_id":"x"}', Reason.RATING_NOT_AN_INTEGER),
        (b'{"rating":3,"unique_id":"x","rating":null}', Reason.RATING_NOT_AN_INTEGER),
        (b'{"rating":3,"unique_id":"\xed\xa0\x80"}', Reason.NOT_UTF8),
        (b'{"rating":3,"unique_id":"\\q"}', Reason.NOT_JSON),
        (b'{"rating":3,"unique_id":"\0"}', Reason.NOT_JSON),
        (b'{"rating":3,"unique_id":"x","more":"\\ud800"}', Reason.NOT_JSON),
        (b'{"rating":3,"unique_id":"x","more":01}', Reason.NOT_JSON),
        (b" ", Reason.NOT_JSON),
        (GOOD + b"\0", Reason.NOT_JSON),
        (b"[", Reason.NOT_JSON),
        (b'{"rating":3,"unique_id":7}', Reason.UNIQUE_ID_NOT_A_STRING),
        (b'{"rating":3,"unique_id":""}', Reason.UNIQUE_ID_EMPTY),
        (b'{"rating":3,"unique_id":"\\ud800"}', Reason.NOT_JSON),
        (b"[" * 5000, Reason.NOT_JSON),
        (b"text " * 180_000, Reason.NOT_JSON),
    ],
)
def test_each_bad_record_has_its_reason_and_its_neighbours_live(
    value: bytes | None, reason: Reason
) -> None:
    before, fault, after = read([GOOD, value, GOOD])
    assert before == after == Rating(3, "x")
    assert isinstance(fault, Fault)
    assert fault.reason is reason


@pytest.mark.parametrize(
    "more",
    [b"1e999", b"1%b" % (b"0" * 9000), b'"\xff"', b'{"\xff":[null]}', b'"%b"' % (b"[" * 999)],
)
def test_only_the_form_matters_of_what_is_ignored(more: bytes) -> None:
    assert parse(b' {"more":%b,"rating":3,"unique_id":"x"}\n' % more) == Rating(3, "x")


BOMBS = [
    form % (bracket * 100_000)
    for bracket in (b"[", b'{"z":')
    for form in (b'{"rating":3,"unique_id":"x","z":%b', b'{"rating":%b', b'{"unique_id":%b', b"%b")
]


def test_a_nesting_is_refused_from_one_depth_on_however_small_the_stack_is() -> None:
    value, places = b'{"rating":3,"unique_id":"x","z":%b}', []
    deep: list[bytes | None] = [value % (b"[" * n + b"]" * n) for n in (DEEPEST - 1, DEEPEST)]

    def read_deep(calls: int) -> None:
        if calls:
            read_deep(calls - 1)
        else:
            found = read([*deep, *BOMBS])
            places.append([n for n, each in enumerate(found) if isinstance(each, Fault)])

    before = threading.stack_size(2 * 1024 * 1024)  # A Bytewax worker's.
    for calls in (0, 400):
        thread = threading.Thread(target=read_deep, args=(calls,))
        thread.start()
        thread.join()
    threading.stack_size(before)
    assert places == [list(range(1, 2 + len(BOMBS)))] * 2


@pytest.mark.parametrize(
    "value",
    [
        *BOMBS,
        b'{"rating":[%b]}' % b",".join([b"[]"] * 300_000),
        b'{"rating":1%b,"unique_id":"x"}' % (b"0" * 1_000_000),
        b'{"rating":"3","unique_id":"%b' % (b'\\"' * 500_000),
        b"[" * DEEPEST + b'{"":""' * 200_000,
        b'"[' * 500_000,
    ],
    ids=range(len(BOMBS) + 5),
)
def test_a_bad_record_takes_few_times_its_size(value: bytes) -> None:
    tracemalloc.start()
    try:
        assert isinstance(read([value])[0], Fault)
        assert tracemalloc.get_traced_memory()[1] < 4 * len(value)
    finally:
        tracemalloc.stop()


@given(strategies.unique_ids.filter(lambda text: len(text) > 3), strategies.json_values)
def test_a_reason_never_quotes_the_record(secret: str, rating: object) -> None:
    parsed = parse(strategies.dumps({"rating": rating, "unique_id": [f"<{secret}>"]}))
    assert isinstance(parsed, Fault)
    assert f"<{secret}>" not in parsed.message
