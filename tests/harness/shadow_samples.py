"""Values of the topic `shadow`: some that are shadows, and some that are not, with the reason."""

from __future__ import annotations

from typing import Final

from harness.shadow_topic import TIME, shadow

GOOD: Final = [
    b'{"type":%d,"unique_id":"good %d","emit_timestamp":"%b"}' % (number % 4, number, stamp)
    for number, stamp in enumerate(
        [TIME.encode(), b"2024-02-29 00:00:00.000", b"1999-12-31 23:59:59.001", TIME[:19].encode()]
    )
] + [b'{"emit_timestamp":"%b","more":{"a":[1]},"unique_id":"\\u0000\\"","type":2}' % TIME.encode()]


NOT_JSON, NOT_AN_OBJECT = "not one JSON value", "not an object"
TYPE, UNIQUE_ID = "type is not 0, 1, 2 or 3", "unique_id is not a non-empty string"
STAMP = "emit_timestamp is not YYYY-MM-DD hh:mm:ss.mmm"
BROKEN: Final[dict[bytes, str]] = {
    b" ": NOT_JSON,
    b"text": NOT_JSON,
    shadow()[:-3]: NOT_JSON,
    shadow() + shadow(2, "y"): NOT_JSON,
    shadow() + b"\n" + shadow(2, "y"): NOT_JSON,
    shadow() + b" text": NOT_JSON,
    b'{"type":1,"unique_id":"\xff","emit_timestamp":"%b"}' % TIME.encode(): NOT_JSON,
    b'{"type":1,"unique_id":"\\ud800","emit_timestamp":"%b"}' % TIME.encode(): NOT_JSON,
    b"[" * 5_000: NOT_JSON,
    b"text " * 180_000: NOT_JSON,
    b"[%b]" % shadow(): NOT_AN_OBJECT,
    b"null": NOT_AN_OBJECT,
    b"3": NOT_AN_OBJECT,
    b'"Sha"': NOT_AN_OBJECT,
    b"{}": TYPE,
    b'{"unique_id":"x","emit_timestamp":"%b"}' % TIME.encode(): TYPE,
    **{shadow(kind): TYPE for kind in (4, -1, 257, 2**40, "1", "Sha", True, 1.0, 1.5, None, [1])},
    b'{"type":1,"emit_timestamp":"%b"}' % TIME.encode(): UNIQUE_ID,
    **{shadow(unique_id=value): UNIQUE_ID for value in ("", None, 5, ["x"], {"x": 1})},
    b'{"type":1,"unique_id":"x"}': STAMP,
    **{
        shadow(time=value): STAMP
        for value in (
            *("", "soon", "2026-02-31 00:00:00.000", "2026-13-01 00:00:00.000", "2026-01-01"),
            *("2026-01-01 24:00:00.000", "0001-01-01 00:00:00.000", "9999-01-01 00:00:00.000"),
            *("2026-01-01T00:00:00.000Z", "1700000000", 1700000000, None, TIME + " text"),
        )
    },
}
