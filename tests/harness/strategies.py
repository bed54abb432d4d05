"""What the property tests draw: humans, records and the bytes that people send instead."""

from __future__ import annotations

import json

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
