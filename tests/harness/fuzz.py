"""A search for bytes that break reading or writing, guided by coverage: `make fuzz`.

It drives libFuzzer through Atheris. What it finds is kept under `.fuzz` and searched from the next
time; a record that breaks a law is left there as `crash-…`, and given as the only argument it is
tried again.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import json.scanner
import sys
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hypothesis import HealthCheck, Phase, given, settings

from domination import ratings, shadows
from domination.exactly_once.batch import Fault
from harness import ratings_oracle, strategies
from harness.records import BAD, mixed

if TYPE_CHECKING:
    from collections.abc import Sequence

FOUND: Final = Path(__file__).parent.parent.parent / ".fuzz"
CUT: Final = b"\x1e"
"""Ends a record: no JSON has this byte, and every other control character is as bad in it."""
TOMBSTONE: Final = b"\x00"
LARGEST: Final = 4096
NOW: Final = datetime(2026, 11, 23, 10, 0, 0, 123_456, tzinfo=timezone.utc)
STAMP: Final = "2026-11-23 10:00:00.123"

IN_PYTHON: Final = vars(json.decoder) | vars(json.scanner)

WORDS: Final = [
    *(CUT, TOMBSTONE, CUT + TOMBSTONE + CUT, b'"rating":', b'"unique_id":', b"},{", b'"},{"'),
    *(b'{"rating":3,"unique_id":"x"}', b'{"rating":3', b'"unique_id":"x"}', b'"z":[', b'"z":{'),
    *(b"9223372036854775807", b"9223372036854775808", b"-9223372036854775808", b"1e999", b"-0"),
    *(b"-9223372036854775809", b"18446744073709551616", b"NaN", b"Infinity", b"null", b"true"),
    *(b"\\ud83d\\ude00", b"\\ud800", b"\\udc00", b"\\u0000", b"\xef\xbb\xbf", b"\xf0\x9f\x98\x80"),
    *(b"\xed\xa0\x80", b"\xc0\x80", b"1E+2", b'\\"', b'\\",', b"\\\\", b"[[[[[[[[", b"]]]]]]]]"),
]


def laws(values: Sequence[bytes | None]) -> None:
    """Assert all that holds for a batch, whatever its bytes are."""
    humans = [ratings_oracle.human(value) for value in values]
    read = ratings.read(values)
    assert read == [ratings.parse(value) for value in values]
    for each, human in zip(read, humans, strict=True):
        if isinstance(each, Fault):  # Too short to quote a record, and fit for one line.
            assert human is None
            assert len(each.message) < 120
            assert each.message.isprintable()
        else:
            assert human == (each.rating, each.unique_id)

    judged = shadows.judge([each for each in read if not isinstance(each, Fault)])
    written = shadows.encode(judged, NOW)
    assert written == [shadows.encode_one(shadow, NOW) for shadow in judged]
    expected = [human.shadow._asdict() for human in humans if human]
    for value, shadow in zip(written, expected, strict=True):
        assert json.loads(value.decode()) == shadow | {"emit_timestamp": STAMP}


def batch(data: bytes) -> list[bytes | None]:
    """Cut the fuzzer's bytes into records."""
    return [None if each == TOMBSTONE else each for each in data.split(CUT)]


def sow(directory: Path) -> None:
    """Write the batches to begin with: those that the other tests know, and some that they draw."""

    def write(values: Sequence[bytes | None]) -> None:
        data = CUT.join(TOMBSTONE if value is None else value for value in values)
        if len(data) <= LARGEST:
            (directory / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)

    drawn = settings(
        max_examples=500,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    directory.mkdir(parents=True, exist_ok=True)
    for value in BAD:
        write([value])
    write([value for value, _ in mixed(20, each_bad=1) if value is None or len(value) < 100])
    write([b'{"rating":3,"unique_id":"x","z":%b}' % (b"[" * 499 + b"]" * 499)] * 2)
    drawn(given(strategies.batches)(write))()


def guide(value: bytes | None) -> None:
    """Take a record through a parser that the fuzzer sees the branches of, unlike those in C.

    Its verdict is not asked: in some versions it takes digits of other scripts for digits.
    """
    decoder: Any = json.JSONDecoder()
    decoder.parse_string = IN_PYTHON["py_scanstring"]
    scan = IN_PYTHON["py_make_scanner"](decoder)
    with suppress(ValueError, StopIteration, RecursionError):
        scan((value or b"").decode(), 0)


def search(data: bytes) -> None:
    """Try what the fuzzer has made."""
    values = batch(data)
    laws(values)
    for value in values:
        guide(value)


def main() -> None:
    """Search until libFuzzer's own options end it, or a law is broken."""
    import atheris  # noqa: PLC0415 - the laws are held without it

    sys.setrecursionlimit(4 * ratings_oracle.DEEPEST)  # The oracle goes as deep as the parser.
    options = sys.argv[1:]
    if all(option.startswith("-") for option in options):
        sow(FOUND / "seeds")
        dictionary = FOUND / "words"
        words = ["".join(f"\\x{byte:02x}" for byte in word) for word in WORDS]
        dictionary.write_text("".join(f'"{word}"\n' for word in words))
        (FOUND / "corpus").mkdir(exist_ok=True)
        options += [f"-dict={dictionary}", str(FOUND / "corpus"), str(FOUND / "seeds")]
    for module in (ratings, shadows, json.decoder, json.scanner):
        for _, function in inspect.getmembers(module, inspect.isfunction):
            atheris.instrument_func(function)
    limits = [f"-max_len={LARGEST}", "-timeout=10", f"-artifact_prefix={FOUND}/"]
    atheris.Setup([sys.argv[0], *limits, *options], search)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
