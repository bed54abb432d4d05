"""What a user may read in a real ClickHouse core whose users stand in a file.

Run as a program it asks, as that user, what the monitor asks, and another table. It prints as JSON
how many questions there were, and which tables were refused.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from xml.etree import ElementTree as ET

import orjson

from domination.clickhouse import schema
from domination.monitor.rows import Tables
from domination.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

OTHER: Final = "other"
_CONFIG: Final = """\
<clickhouse><user_directories><users_xml><path>{users}</path></users_xml></user_directories>
</clickhouse>
"""
# What the server's own file has, and a user who may make views.
_USERS: Final = """\
<clickhouse><profiles><default/></profiles><quotas><default/></quotas>
<users><default><password/><access_management>1</access_management></default></users></clickhouse>
"""
# Who asks the view reads what its definer may read.
_AS: Final = "CREATE OR REPLACE VIEW asked DEFINER = {user} SQL SECURITY DEFINER AS {question}"
_REFUSED: Final = re.compile(r"\b(?i:on) default\.(\w+)\. \(ACCESS_DENIED\)")


class Rights(NamedTuple):
    """What came of it."""

    questions: int
    refused: set[str]


def rights(directory: Path, user: ET.Element) -> Rights:
    """Ask as this user, an element as it stands in ClickHouse's `users`."""
    root = ET.fromstring(_USERS)
    users = root.find("users")
    assert users is not None
    users.append(user)
    (directory / "users.xml").write_bytes(ET.tostring(root))
    (directory / "config.xml").write_text(_CONFIG.format(users=directory / "users.xml"))
    command = (sys.executable, __file__, str(directory), user.tag)
    answer = orjson.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return Rights(answer["questions"], set(answer["refused"]))


class _Core:
    """The core; it writes down what it was asked."""

    def __init__(self, directory: Path) -> None:
        from chdb.session import Session  # noqa: PLC0415 - takes a second

        self._session = Session(f"{directory}/data?config-file={directory}/config.xml")
        self.asked: list[str] = []

    def execute(self, query: str) -> list[tuple[Any, ...]]:
        self.asked.append(query)
        answer = self._session.query(query, "JSONCompactEachRow").bytes()
        return [tuple(orjson.loads(line)) for line in answer.splitlines()]


def _refused(core: _Core, user: str, questions: list[str]) -> Iterator[str]:
    for question in questions:
        core.execute(_AS.format(user=user, question=question))
        try:
            core.execute("SELECT * FROM asked")
        except RuntimeError as error:
            yield from _REFUSED.findall(str(error)) or [str(error)]


def main(directory: Path, user: str) -> None:
    """Make the tables, and ask."""
    core = _Core(directory)
    core.execute("CREATE DATABASE IF NOT EXISTS default")
    core.execute("SET output_format_json_quote_64bit_integers = 0")
    for name, statement in schema.statements(Settings()):
        if name in {"shadow", "shadow_broken"}:
            core.execute(statement)
    core.execute(f"CREATE TABLE {OTHER} ENGINE = Memory AS SELECT 1 AS it")
    core.asked.clear()
    Tables(core).look()
    questions = [*core.asked, f"SELECT it FROM {OTHER}"]
    refused = list(_refused(core, user, questions))
    sys.stdout.buffer.write(orjson.dumps({"questions": len(questions), "refused": refused}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
