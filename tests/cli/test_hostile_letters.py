"""Any headers, keys and values, of any size and encoding: no letter breaks or hides another."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final, cast

import orjson
from hypothesis import example, given
from hypothesis import strategies as st

from domination.exactly_once.batch import Record
from domination.letter import FORM, Letter, recognise
from domination.text import printable
from harness import foreign
from harness.letters import FAULT, command, good, lay, sent_back

if TYPE_CHECKING:
    from collections.abc import Iterator

    from domination.exactly_once.batch import Header
    from domination.kafka.tail import Message
    from harness.pipeline import Pipeline

LONG: Final = 300_000
OWN: Final[list[tuple[str, bytes]]] = [
    (name, cast("bytes", body))
    for name, body in FORM.write(Record("in", 0, 0, -1, None, None, []), FAULT, [])
]
"""The headers that make a record a letter."""

bodies = (
    st.none()
    | st.binary()
    | st.text().map(lambda text: text.encode(errors="surrogatepass"))
    | st.integers(-(2**70), 2**70).map(lambda number: str(number).encode())
    | st.sampled_from([b"", b"\xff", b"\x1b[2J\r\n", b"9" * 19, b"9" * 5_000, b"x" * LONG])
)
names = st.text() | st.sampled_from([*(name for name, _ in OWN), FORM.replayed, "x" * LONG])
anything = st.lists(st.tuples(names, bodies), max_size=8)
claims = st.builds(
    lambda before, place, body: [*before, *OWN[:place], (OWN[place][0], body), *OWN[place + 1 :]],
    anything,
    st.integers(0, len(OWN) - 1),
    bodies,
)
"""A letter's headers, one of whose values is another than a worker writes."""


@given(key=bodies, value=bodies, headers=claims | anything, offset=st.integers(0, 2**63 - 1))
@example(None, None, [*OWN[:-1], (OWN[-1][0], b"9" * 5_000)], 0)
def test_whatever_a_record_has_it_is_a_letter_that_can_be_shown_or_none(
    key: bytes | None, value: bytes | None, headers: list[Header], offset: int
) -> None:
    record = SimpleNamespace(
        key=lambda: key,
        value=lambda: value,
        headers=lambda: headers,
        partition=lambda: 0,
        offset=lambda: offset,
    )
    found = recognise(cast("Message", record))
    if not isinstance(found, Letter):
        return
    assert (found.key, found.value) == (key, value)
    assert [*found.headers, *headers[len(found.headers) :]] == headers
    line = printable(found.line())
    assert line.isprintable()
    assert len(line) < 5_000
    shown: Any = json.loads(json.dumps(found.whole()))
    assert shown["origin"]["topic"] == found.origin.topic


def hostile() -> Iterator[tuple[bytes, bytes, list[tuple[bytes, bytes]]]]:
    """Give records as no worker writes them: value, key and headers."""
    own = [(name.encode(), body) for name, body in OWN]
    yield b"\xff" * LONG, b"\x00" * LONG, own
    yield b"", b"", own
    yield b"x", b"k", [(b"\xff" * 1_000, b""), *own]
    for place in range(len(own)):
        for body in (b"", b"\xff", b"x" * LONG, b"9" * 19, b"9" * 5_000, b"\x1b[2J\r\n\0", b"1e9"):
            yield b"x", b"k", [*own[:place], (own[place][0], body), *own[place + 1 :]]
    for number in range(40):
        yield b"x", b"k", [(own[0][0], b"reason %d" % number), *own[1:]]


def usable() -> Iterator[tuple[bytes, list[tuple[bytes, bytes]]]]:
    """Give keys and headers of letters that can go back, as odd as Kafka takes them."""
    own = [(name.encode(), body) for name, body in OWN]
    yield b"\xed\xa0\x80" * 1_000, own
    yield b"", [(b"x" * LONG, b"y" * LONG), *own]
    yield b"k", [(b"n%d" % number, b"v") for number in range(20_000)] + own
    yield b"k", [(FORM.replayed.encode(), b"0"), *own]
    yield b"k", [(b"", b""), (b"a\0b", b"\0"), *own, *own]


def test_no_record_of_others_breaks_a_command_or_hides_a_letter(pipeline: Pipeline) -> None:
    pipeline.create()
    lay(pipeline, good(3))
    count = 0
    for value, key, headers in hostile():
        foreign.send(pipeline.bootstrap_servers, pipeline.dead, value, key, headers)
        count += 1
    for value, (key, headers) in zip(good(8)[3:], usable(), strict=True):
        foreign.send(pipeline.bootstrap_servers, pipeline.dead, value, key, headers)
    lay(pipeline, good(10)[8:])
    rows = [
        orjson.loads(line)
        for line in command(pipeline, "list", "--limit", "999", "--format", "json").splitlines()
    ]
    table = command(pipeline, "list", "--limit", "999").splitlines()
    assert all(line.isprintable() and len(line) < 1_000 for line in table)
    assert table[-1].split() == [f"{len(rows)}", "open"]
    assert "other reasons" in table[-2]
    for row in rows[:: len(rows) // 6]:
        place = f"{row['partition']}:{row['offset']}"
        shown = orjson.loads(command(pipeline, "show", place, "--format", "json"))
        assert {name: shown[name] for name in row} == row
    told = command(pipeline, "replay", "--yes")
    assert "10 sent back" in told
    assert sum(int(line.split()[0]) for line in told.splitlines() if "skipped" in line) == count
    assert sent_back(pipeline) == sorted(good(10), key=str)
