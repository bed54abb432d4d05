"""What an exit code means to whoever meets it."""

from __future__ import annotations

from typing import Final

from domination.errors import Exit

EXIT_CODES: Final = {
    str(code.value): meaning
    for code, meaning in {
        Exit.OK: "ended cleanly",
        Exit.BUG: "a bug: the log has the traceback",
        Exit.USAGE: "wrong usage",
        Exit.UNAVAILABLE: (
            "no broker, or no progress, for DOMINATION_AVAILABILITY_TIMEOUT_SECONDS; or no "
            "ClickHouse"
        ),
        Exit.MEMORY: "its memory was nearly used up: the log says where it was reading",
        Exit.TEMPORARY: (
            "fenced: another worker has its name; or a replay was stopped, or held up; start it "
            "again"
        ),
        Exit.REFUSED: "refused: authentication or rights",
        Exit.SETTING: (
            "a wrong setting, a missing topic or table, a ClickHouse too old, "
            "or offsets that are gone"
        ),
    }.items()
} | {"130, 143": "second signal", "141": "nobody reads what it prints"}
"""The exit codes of all commands, as the README lists them."""
