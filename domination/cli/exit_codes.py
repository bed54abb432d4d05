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
            "Kafka did not answer, or nothing was committed, for "
            "DOMINATION_AVAILABILITY_TIMEOUT_SECONDS; or ClickHouse did not answer"
        ),
        Exit.MEMORY: "its memory was nearly used up; the log says where it was reading",
        Exit.TEMPORARY: (
            "another worker with the same name fenced it; or a replay or a rewind was interrupted "
            "or blocked; start it again"
        ),
        Exit.REFUSED: "authentication failed, or a right is missing",
        Exit.SETTING: (
            "a wrong setting, a missing topic or table, a ClickHouse that is too old, "
            "or lost offsets or records"
        ),
    }.items()
} | {"130, 143": "a second signal ended it", "141": "nobody reads its output"}
"""The exit codes of all commands, as docs/reference.md lists them."""
