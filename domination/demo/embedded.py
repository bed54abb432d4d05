"""A ClickHouse in this process: chdb, the real one."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import orjson

from domination.errors import DominationError, Exit, needs_extra

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DATABASE: Final = "domination"

# With async_load_databases a restart may read from Kafka before the tables for the rows are loaded.
# Without the time-out Kafka keeps the partitions for a killed ClickHouse for 45 seconds.
_CONFIG: Final = """\
<clickhouse>
    <async_load_databases>false</async_load_databases>
    <kafka><session_timeout_ms>10000</session_timeout_ms></kafka>
</clickhouse>
"""


class EmbeddedClickHouse:
    """A ClickHouse without a server, its data in a directory; at most one in a process at a time.

    A directory that it makes is its user's alone, since rows name humans.
    Any thread may ask it; it answers one after the other. Raises `DominationError` (78) where chdb
    is not installed, or cannot use the directory.
    """

    def __init__(self, directory: Path) -> None:
        with needs_extra("the embedded ClickHouse"):
            from chdb.session import Session  # noqa: PLC0415 - takes a second
        self._lock = threading.Lock()
        with _usable(directory):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            config = directory / "config.xml"
            config.write_text(_CONFIG)
            self._session = Session(f"{directory}?config-file={config}")
        self.execute(f"CREATE DATABASE IF NOT EXISTS {DATABASE} ENGINE = Atomic")
        self.execute(f"USE {DATABASE}")
        self.execute("SET output_format_json_quote_64bit_integers = 0")

    def execute(self, query: str) -> list[tuple[Any, ...]]:
        """Run one statement; give its rows, times as texts."""
        with self._lock:
            answer = self._session.query(query, "JSONCompactEachRow").bytes()
        return [tuple(orjson.loads(line)) for line in answer.splitlines()]

    def close(self) -> None:
        """Stop reading from Kafka, and end."""
        with self._lock:
            self._session.close()


@contextmanager
def _usable(directory: Path) -> Iterator[None]:
    """Turn what a directory that cannot be used raises within into an expected end (78)."""
    try:
        yield
    except OSError as error:
        raise DominationError(
            Exit.SETTING,
            f"the demo cannot write to {error.filename or directory}: {error.strerror}",
        ) from error
    except RuntimeError as error:
        # ClickHouse has written the reason to stderr.
        raise DominationError(
            Exit.SETTING,
            f"the embedded ClickHouse cannot use {directory}: end another demo that uses it, "
            "or name another directory",
        ) from error
