"""The real ClickHouse core for the tests, as a process of its own that a test may kill.

Run as a program it answers each statement, a JSON string a line, with its rows, a JSON list.
"""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from domination.clickhouse import schema
from domination.demo.embedded import EmbeddedClickHouse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from domination.settings import Settings


_END_SECONDS = 150.0

# ClickHouse adds what is in config.d/ to its configuration.
_USERS_FILE = """\
<clickhouse><user_directories><users_xml><path>{users}</path></users_xml></user_directories>
</clickhouse>
"""
_USERS = """\
<clickhouse><profiles><default>{profile}</default></profiles><quotas><default/></quotas>
<users><default><password/></default></users></clickhouse>
"""


class ClickHouseCore:
    """One ClickHouse with its data in a directory; it may be killed and started again."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; it reads on where it stopped."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "harness.clickhouse_core", str(self._directory)],
            cwd=Path(__file__).parent.parent,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    @property
    def pid(self) -> int:
        """Give its process."""
        assert self._process
        return self._process.pid

    def configure(self, name: str, configuration: str) -> None:
        """Add to its configuration, before it is started."""
        added = self._directory / "config.d"
        added.mkdir(parents=True, exist_ok=True)
        (added / f"{name}.xml").write_text(configuration)

    def start_with(self, profile: Mapping[str, object]) -> None:
        """Start it again, with settings in everybody's profile; what is asked here has its own."""
        self.stop()
        users = self._directory / "users.xml"
        self.configure("users", _USERS_FILE.format(users=users))
        settings = "".join(f"<{name}>{value}</{name}>" for name, value in profile.items())
        users.write_text(_USERS.format(profile=settings))
        self.start()
        for name in profile:
            self.execute(f"SET {name} = DEFAULT")

    def execute(self, query: str) -> list[tuple[Any, ...]]:
        """Run one statement; give its rows."""
        assert self._process
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(orjson.dumps(query) + b"\n")
        self._process.stdin.flush()
        answer = orjson.loads(self._process.stdout.readline())
        assert not isinstance(answer, str), answer
        return [tuple(row) for row in answer]

    def apply(self, settings: Settings) -> dict[str, str]:
        """Make the tables and start to read."""
        return dict(schema.apply(self, settings))

    def count(self, table: str) -> int:
        """Count the rows of a table, each once."""
        return int(self.execute(f"SELECT count() FROM {table} FINAL")[0][0])

    def stop(self) -> None:
        """Let it end in good order."""
        if self._process:
            self._process.communicate(timeout=_END_SECONDS)
            self._process = None

    def kill(self) -> None:
        """Kill it with -9, as a power cut would."""
        if self._process:
            self._process.kill()
            self._process.communicate()
            self._process = None


def main(directory: Path) -> None:
    """Answer until the input ends."""
    with closing(EmbeddedClickHouse(directory)) as clickhouse:
        for line in sys.stdin.buffer:
            try:
                answer: object = clickhouse.execute(orjson.loads(line))
            except RuntimeError as error:
                answer = str(error)
            sys.stdout.buffer.write(orjson.dumps(answer) + b"\n")
            sys.stdout.buffer.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
