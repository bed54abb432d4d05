"""What the property tests draw: humans, records and the bytes that people send instead."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

import orjson
from hypothesis import strategies as st

from domination.ratings import RATING_MAX, RATING_MIN

ratings = st.integers(RATING_MIN, RATING_MAX)
# Every text that UTF-8 can carry: quotes, control characters and emoji, but no lone surrogates.
texts = st.text(st.characters(codec="utf-8"))
# What JSON itself is made of, where strings are cut out of it or put into it.
syntax = st.text(st.sampled_from('",\\\n {'))
unique_ids = (texts | syntax).filter(bool)
keys = st.none() | st.binary(max_size=8)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


def dumps(value: object) -> bytes:
    """Write JSON with Python's own writer, which has NaN and big integers."""
    return json.dumps(value, ensure_ascii=False).encode()


good = st.builds(
    lambda rating, unique_id, more: orjson.dumps(more | {"rating": rating, "unique_id": unique_id}),
    ratings,
    unique_ids,
    st.dictionaries(texts, st.none() | st.booleans() | texts, max_size=2),
)
nested = st.builds(
    lambda rating, unique_id, more: dumps({"more": more, "rating": rating, "unique_id": unique_id}),
    ratings,
    unique_ids,
    json_values,
)
strange_fields = st.builds(
    dumps,
    st.fixed_dictionaries({}, optional={"rating": json_values, "unique_id": json_values}),
)
# Pieces whose sum is good JSON although they are not: no record may complete another.
torn = st.sampled_from(
    [
        b'{"rating":3',
        b'"unique_id":"x"}',
        b'{"rating":3,"unique_id":"x"},{"rating":5',
        b'{"rating":3,"unique_id":"x"},{"rating":5,"unique_id":"y"}',
        b'{"rating":3,"unique_id":"x"},{"rating":5,"unique_id":"y","z":[1',
        b'{"rating":3,"unique_id":"x"},{"rating":5,"unique_id":"y","z":[{}',
        b'2],"unique_id":"y"}',
        b'{}],"unique_id":"y"}',
        b'{"rating":3,"unique_id":"x',
        b'{"rating":3,"unique_id":"x}',
        b'{","rating":5,"unique_id":"y"}',
        b'{b"},{"rating":5,"unique_id":"y"}',
        b'{"rating":3,"unique_id":"x"},',
        b',{"rating":3,"unique_id":"x"}',
        b'{"rating":3,"unique_id":"x"} ',
        b' {"rating":3,"unique_id":"x"}',
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b'"',
    ]
)
# Good records with something put into them, or in place of something.
pieces = st.binary(min_size=1, max_size=2) | st.sampled_from(
    [
        *(b'"rating":5,', b'"rating":null,', b'"unique_id":"y",', b'"unique_id":7,'),
        *(b"\\ud800", b"\\ud83d\\ude00", b"\\u0000", b"\\", b'\\"', b"\xff", b"\xed\xa0\x80"),
        *(b"1e999", b"1" * 30, b".0", b"E1", b"-", b"0", b"NaN"),
        *(b"[", b"]", b"{", b"}", b",", b'"', b'"unique_id":"",'),
    ]
)
spoilt = st.builds(
    lambda value, at, gone, piece: value[:at] + piece + value[at + gone :],
    nested,
    st.integers(0, 100),
    st.integers(0, 2),
    pieces,
)
others = strange_fields | torn | st.none() | st.binary() | json_values.map(dumps)
values = good | nested | spoilt | others
batches = st.lists(values, max_size=12) | st.lists(good, max_size=12) | st.lists(torn, max_size=6)


# What the worker writes, and what comes near it: odd in one place, or with a few bytes changed.
ODD_TEXTS = [
    *rb'" "," \ \u0000 \ud800 \ud83d\ude00'.split(),
    *b"\x00 \x1f \x7f \n \xed\xa0\x80 \xc0\x80 \xf4\x90\x80\x80 \xf0\x9f\x98\x80 \xff".split(b" "),
    b"",
]
ODD_KINDS = [
    *b'4 -1 -0 00 1.0 1e0 "1" true [1] 9223372036854775808 18446744073709551617'.split(),
    *(b"", b" 1", b"%d" % (2**128 + 1)),
]
kinds = st.sampled_from([b"0", b"1", b"2", b"3"])
id_texts = texts.map(str.encode)
odd_ids = st.lists(st.sampled_from(ODD_TEXTS) | id_texts | st.binary(max_size=3)).map(b"".join)
# Of 1899 to 2300: ClickHouse has no times before and after.
times = st.integers(-2_209_000_000_000, 10_414_000_000_000).map(
    lambda milliseconds: (
        (datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(0, 0, 0, milliseconds))
        .strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
        .encode()
    )
)
odd_times = st.from_regex(
    rb"(19|20|21|22|\d\d)\d\d-[01]\d-[0-3]\d [0-2]\d:[0-6]\d:[0-6]\d(\.\d{1,4})?", fullmatch=True
)


def shadow_form(fields: tuple[bytes, bytes, bytes]) -> bytes:
    """Write a type, an id and a time in the worker's own form."""
    return b'{"type":%b,"unique_id":"%b","emit_timestamp":"%b"}' % fields


shadow_forms = (
    st.tuples(kinds, odd_ids, times)
    | st.tuples(kinds, id_texts, odd_times)
    | st.tuples(st.sampled_from(ODD_KINDS), id_texts, times)
).map(shadow_form)
near_shadows = st.builds(
    lambda value, place, cut, put: value[:place] + put + value[place + cut :],
    shadow_forms,
    st.integers(0, 120),
    st.integers(0, 2),
    st.sampled_from(ODD_TEXTS) | st.binary(max_size=2),
)
