"""The commands on a real ClickHouse server: refused, too old, not there, and what is stored."""

from __future__ import annotations

import json
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Final

import pytest
from clickhouse_driver import errors

from domination.advice import expected
from domination.clickhouse import schema
from domination.clickhouse.faults import NoRightError, NoServerError, NoTablesError
from domination.clickhouse.report import report
from domination.clickhouse.server import Server
from domination.errors import Exit
from domination.settings import Settings
from harness.clickhouse_server import INSERT, INSERT_BROKEN, PASSWORD
from harness.kafka_server import free_ports
from harness.processes import DOMINATION, PATIENT_SECONDS, run

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from conftest import Database
    from harness.clickhouse_server import ClickHouseServer

FIRST: Final = datetime(2026, 1, 31, 23, 59, 59, tzinfo=timezone.utc)
TOO_OLD: Final = "ClickHouse 18.16.1 is too old to read from Kafka 4: install 25.3 or later"
# Every command that asks ClickHouse before all else.
COMMANDS: Final = (("schema", "apply"), ("report",), ("check", "clickhouse"), ("forget", "x"))


@pytest.fixture
def peer() -> Iterator[socket.socket]:
    """Give a port that takes connections; what it says is the test's."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(PATIENT_SECONDS)
        yield listening


def ask(url: str, *command: str) -> subprocess.CompletedProcess[str]:
    return run(*DOMINATION, *command, environment={"DOMINATION_CLICKHOUSE_URL": url})


def the_line(ended: subprocess.CompletedProcess[str]) -> str:
    """Give the one line that it said, wherever; a warning or a traceback would be another."""
    (line,) = (ended.stdout + ended.stderr).splitlines()
    return line


def server(url: str) -> closing[Server]:
    return closing(Server(Settings(clickhouse_url=url)))


def test_schema_apply_tells_a_server_that_is_too_old_and_makes_nothing(database: Database) -> None:
    ended = ask(database.url, "schema", "apply")
    assert (ended.returncode, ended.stdout) == (78, "")
    assert the_line(ended) == f"domination: {TOO_OLD}"
    assert database.client.execute("SHOW TABLES") == []


def test_check_fails_a_server_that_is_too_old(clickhouse_server: ClickHouseServer) -> None:
    ended = ask(clickhouse_server.url(), "check", "clickhouse")
    assert (ended.returncode, ended.stderr) == (78, "")
    at = f"127.0.0.1:{clickhouse_server.port}"
    assert the_line(ended) == f"FAIL ClickHouse {at}: {TOO_OLD}"


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("login", "user"),
    [
        ("default:s3cret@", "default"),
        ("no%40body:s3cret@", "no@body"),
        ("default@", "default"),
        ("", "default"),
    ],
)
def test_a_login_that_is_refused_is_one_line_without_the_password_and_77(
    clickhouse_server: ClickHouseServer, login: str, user: str, command: tuple[str, ...]
) -> None:
    ended = ask(f"clickhouse://{login}127.0.0.1:{clickhouse_server.port}", *command)
    assert ended.returncode == 77
    line = the_line(ended)
    assert f"refuses user {user}; " in line
    assert "DOMINATION_CLICKHOUSE_URL" in line
    assert "s3cret" not in line


def test_any_character_of_a_password_works_percent_encoded(
    clickhouse_server: ClickHouseServer,
) -> None:
    assert set("@:/#%?") <= set(PASSWORD)
    with server(clickhouse_server.url()) as asked:
        assert asked.execute("SELECT 1") == [(1,)]


@pytest.mark.parametrize("command", COMMANDS)
def test_without_a_server_each_command_says_so_in_one_line_and_ends_with_69(
    command: tuple[str, ...],
) -> None:
    at = f"127.0.0.1:{free_ports(1)[0]}"
    ended = ask(f"clickhouse://u:s3cret@{at}", *command)
    assert ended.returncode == 69
    assert f"no ClickHouse at {at} (Connection refused)" in the_line(ended)


def test_an_unknown_host_is_one_line_and_69() -> None:
    ended = ask("clickhouse://u:s3cret@no.such.host.invalid", "report")
    assert ended.returncode == 69
    assert "no ClickHouse at no.such.host.invalid:9000 (" in the_line(ended)


def test_a_peer_that_never_answers_is_one_line_and_69(peer: socket.socket) -> None:
    at = f"127.0.0.1:{peer.getsockname()[1]}"
    ended = ask(f"clickhouse://u:s3cret@{at}?send_receive_timeout=0.5", "report")
    assert ended.returncode == 69
    assert f"no ClickHouse at {at} (no answer in time)" in the_line(ended)


def test_a_server_that_stops_answering_is_one_line_and_69(
    clickhouse_server: ClickHouseServer,
) -> None:
    with (
        server(f"{clickhouse_server.url()}?send_receive_timeout=1.5") as asked,
        pytest.raises(NoServerError, match=r"no ClickHouse at .* \(timed out\)"),
    ):
        asked.execute("SELECT sleep(3)")


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b""])
def test_a_peer_that_speaks_something_else_is_one_line_and_69(
    peer: socket.socket, answer: bytes
) -> None:
    def speak() -> None:
        connection, _ = peer.accept()
        with connection:
            # Closed with something unread it would reset, and the answer be lost.
            connection.recv(4096)
            connection.sendall(answer)

    at = f"127.0.0.1:{peer.getsockname()[1]}"
    with ThreadPoolExecutor() as pool:
        spoken = pool.submit(speak)
        ended = ask(f"clickhouse://u:s3cret@{at}", "report")
        spoken.result()
    assert ended.returncode == 69
    assert f"no ClickHouse at {at} (Unexpected " in the_line(ended)


def test_tls_with_a_server_that_speaks_none_is_one_line_and_69(
    clickhouse_server: ClickHouseServer,
) -> None:
    ended = ask(clickhouse_server.url().replace("clickhouse:", "clickhouses:"), "report")
    assert ended.returncode == 69
    assert f"no ClickHouse at 127.0.0.1:{clickhouse_server.port} ([SSL: " in the_line(ended)


@pytest.mark.parametrize("command", COMMANDS)
def test_an_unknown_database_is_told_by_name_with_78(
    clickhouse_server: ClickHouseServer, command: tuple[str, ...]
) -> None:
    ended = ask(f"{clickhouse_server.url()}/nowhere", *command)
    assert ended.returncode == 78
    assert "has no database nowhere; create it" in the_line(ended)


def test_a_report_without_the_tables_says_how_to_make_them_and_ends_with_78(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "OLDEST", (18, 16))
    with server(database.url) as asked, pytest.raises(NoTablesError) as missing:
        report(asked)
    told = expected(missing.value)
    assert told
    assert told.exit_code is Exit.SETTING
    assert str(told).endswith("create them with 'domination schema apply'")


def test_a_report_of_a_server_too_old_for_the_tables_says_that_and_ends_with_78(
    database: Database,
) -> None:
    ended = ask(database.url, "report")
    assert ended.returncode == 78
    assert the_line(ended) == f"domination: {TOO_OLD}"


@pytest.mark.parametrize(
    "option",
    ["connect_timeout=soon", "secure=perhaps", "compression=nonesuch", "ssl_version=nonesuch"],
)
def test_an_option_of_the_url_that_cannot_work_is_one_line_and_78(option: str) -> None:
    ended = ask(f"clickhouse://u:s3cret@127.0.0.1?{option}", "report")
    assert ended.returncode == 78
    line = the_line(ended)
    assert "DOMINATION_CLICKHOUSE_URL" in line
    assert option.partition("=")[2] in line
    assert "s3cret" not in line


@pytest.mark.parametrize(
    ("user", "why"), [("reader", "readonly mode"), ("stranger", "Access denied to database")]
)
def test_a_user_without_the_right_to_make_tables_is_told_so_with_77(
    clickhouse_server: ClickHouseServer, database: Database, user: str, why: str
) -> None:
    # The one database that both may be in.
    database.client.execute("CREATE DATABASE IF NOT EXISTS elsewhere")
    name = database.url.rpartition("/")[2]
    with (
        server(f"{clickhouse_server.url(user)}/elsewhere") as asked,
        pytest.raises(NoRightError, match=f"refuses user {user} a right: .*{why}") as refused,
    ):
        asked.execute(f"CREATE TABLE {name}.made (x Int8) ENGINE = Memory")
    # Without the stack of calls that a server this old tells.
    assert len(str(refused.value).splitlines()) == 1
    assert "Stack trace" not in str(refused.value)
    assert database.client.execute("SHOW TABLES") == []


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("SELEKT 1", errors.ServerException),
        # An answer of a type that the driver cannot read.
        ("SELECT sumState(1)", errors.UnknownTypeError),
    ],
)
def test_an_error_that_only_we_can_have_made_is_raised_as_it_is(
    clickhouse_server: ClickHouseServer, query: str, error: type[Exception]
) -> None:
    with server(clickhouse_server.url()) as asked, pytest.raises(error):
        asked.execute(query)


def fill(stored: Database) -> None:
    """Store eight humans and two broken records, some of them twice; `FIRST` is the first."""
    types = ["Sha", "Incompatible", "ShaDow", "Incompatible", "Sha", "Sha", "Incompatible"]
    rows = [
        (name, f"human {number}", FIRST + timedelta(hours=number), 0, number)
        for number, name in enumerate(types)
    ]
    # The same human again is a record of its own.
    rows.append(("Incompatible", "human 1", FIRST + timedelta(hours=1), 0, 7))
    broken = [("shadow", 0, offset, FIRST, "text", "not one JSON value") for offset in (8, 9)]
    stored.client.execute("SYSTEM STOP MERGES")
    for again in (rows, rows[1:4]):
        stored.client.execute(INSERT, again)
        stored.client.execute(INSERT_BROKEN, broken)
    # Else nothing here would tell a count of each row once from a count of all.
    assert stored.client.execute("SELECT count() FROM shadow") == [(11,)]
    assert stored.client.execute("SELECT count() FROM shadow_broken") == [(4,)]


def test_report_counts_each_row_once_though_it_was_stored_twice(stored: Database) -> None:
    fill(stored)
    ended = ask(stored.url, "report")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert [line.split() for line in ended.stdout.splitlines()] == [
        ["type", "humans", "share"],
        ["Incompatible", "4", "50.0%"],
        ["Sha", "3", "37.5%"],
        ["ShaDow", "1", "12.5%"],
        ["Dow", "0", "0.0%"],
        ["total", "8"],
        ["first", "2026-01-31", "23:59:59,", "last", "2026-02-01", "05:59:59", "(UTC)"],
        ["broken", "records:", "2"],
    ]


def test_report_tells_programs_the_same_as_people(stored: Database) -> None:
    fill(stored)
    ended = ask(stored.url, "report", "--format", "json")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert json.loads(ended.stdout) == {
        "types": [
            {"type": "Incompatible", "humans": 4, "share": 0.5},
            {"type": "Sha", "humans": 3, "share": 0.375},
            {"type": "ShaDow", "humans": 1, "share": 0.125},
            {"type": "Dow", "humans": 0, "share": 0.0},
        ],
        "total": 8,
        "ahead": 0,
        "first": "2026-01-31 23:59:59",
        "last": "2026-02-01 05:59:59",
        "broken": 2,
    }


def test_report_of_empty_tables_is_all_zeros_and_knows_no_time(stored: Database) -> None:
    ended = ask(stored.url, "report")
    assert (ended.returncode, ended.stderr) == (0, "")
    _, *types, total, times, broken = ended.stdout.splitlines()
    assert {tuple(line.split()[1:]) for line in types} == {("0", "0.0%")}
    assert len(types) == 4
    assert (total.split(), times) == (["total", "0"], "first -, last - (UTC)")
    assert broken == "broken records: 0"
    told = json.loads(ask(stored.url, "report", "--format", "json").stdout)
    assert {(each["humans"], each["share"]) for each in told.pop("types")} == {(0, 0.0)}
    assert told == {"total": 0, "ahead": 0, "first": None, "last": None, "broken": 0}
