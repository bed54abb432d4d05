"""The whole system on a bare machine, as a user meets it."""

from __future__ import annotations

import re
import signal
import stat
import subprocess
import sys
import urllib.request
from contextlib import closing
from ipaddress import IPv4Address
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from domination.demo.counts import Snapshot
from domination.monitor.topics import Lag, Lags
from harness import listening
from harness.kafka_server import free_ports, small_disk
from harness.processes import CLEAN, DOMINATION, PATIENT_SECONDS, ROOT, run
from harness.terminal import written
from harness.together import Together, waits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(scope="module")
def together(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Together]:
    """Give each its directory; more than three at once would only make each other slow."""

    def run(scenario: Callable[[Path], None]) -> None:
        scenario(tmp_path_factory.mktemp("demo"))

    with closing(Together(request, run, 3)) as made:
        yield made


def scratch_in(directory: Path) -> Path:
    """Make a directory for temporary files that nothing else uses."""
    made = directory / "scratch"
    made.mkdir()
    return made


def start(
    scratch: Path, *arguments: str, output: int = subprocess.PIPE, **more: str
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*DOMINATION, "demo", *arguments],
        cwd=ROOT,
        env=CLEAN | {"TMPDIR": str(scratch), "TERM": "xterm", **more},
        stdout=output,
        text=True,
    )


def processes(scratch: Path) -> list[str]:
    """Find the processes whose temporary files lie in a directory."""
    mine = f"TMPDIR={scratch}"
    shown = subprocess.run(
        ["ps", "-eww", "-o", "pid,args", "e"], capture_output=True, text=True, check=True
    )
    return [line for line in shown.stdout.splitlines() if mine in line and "domination" in line]


@waits
def test_it_ends_with_0_once_each_human_is_one_row_or_one_dead_letter(directory: Path) -> None:
    scratch = scratch_in(directory)
    arguments = ("demo", "--humans", "3000", "--seed", "4", "--bad", "0.02")
    ended = run(*DOMINATION, *arguments, environment={"TMPDIR": str(scratch)})
    assert ended.returncode == 0, ended.stdout + ended.stderr
    last = "3,000 humans = 2,938 rows + 62 dead letters, each row once"
    assert ended.stdout.splitlines()[-1] == last
    assert list(scratch.iterdir()) == []


# A worker of a program that was changed: a shadow of type 9 is no row.
CHANGED = """
from domination import shadows
shadows._HEADS = (b'{"type":9,"unique_id":"', *shadows._HEADS[1:])
"""


@waits
def test_it_says_where_humans_are_that_are_neither_rows_nor_dead_letters_and_ends_with_1(
    directory: Path,
) -> None:
    (directory / "sitecustomize.py").write_text(CHANGED)
    arguments = ("demo", "--humans", "300", "--seed", "4")
    ended = run(*DOMINATION, *arguments, environment={"PYTHONPATH": str(directory)})
    assert ended.returncode == 1, ended.stdout + ended.stderr
    last = re.fullmatch(
        r"300 humans are not (\d+) rows \+ 0 dead letters, each row once; "
        r"(\d+) in shadow_broken \(type is not 0, 1, 2 or 3\)",
        ended.stdout.splitlines()[-1],
    )
    assert last, ended.stdout
    assert int(last[1]) + int(last[2]) == 300


# It waits for the rows until all are judged and ClickHouse has said why they will be none.
UNTIL_TOLD = """
import time
from domination.demo import run

def wait(sent, tally, view):
    while tally.look(sent).shadows < sent or not tally.why_not_stored():
        time.sleep(0.1)

run._wait_for_rows = wait
"""


@waits
def test_it_says_that_the_disk_of_the_rows_is_full(directory: Path) -> None:
    (directory / "sitecustomize.py").write_text(UNTIL_TOLD)
    disk = directory / "disk"
    with small_disk(disk, megabytes=1) as mounted:
        if not mounted:
            pytest.skip("this user may mount nothing")
        (disk / "other").write_bytes(bytes(700_000))
        arguments = ("demo", "--humans", "10000", "--rate", "10000", "--data", str(disk / "rows"))
        ended = run(*DOMINATION, *arguments, environment={"PYTHONPATH": str(directory)})
    assert ended.returncode == 1, ended.stdout + ended.stderr
    last = ended.stdout.splitlines()[-1]
    assert re.search(
        r" not in a table; ClickHouse: .*not enough space.*\(NOT_ENOUGH_SPACE\)$", last
    )


def test_humans_that_no_row_was_made_of_are_where_they_were_seen_last() -> None:
    snapshot = Snapshot(9, 6, 1, 3, {}, [], 0.0, {"not an object": 1})
    assert not snapshot.settled
    assert snapshot.missing() == (
        "1 in shadow_broken (not an object), 2 in the topic shadow but not in a table, "
        "2 only in the topic dominate"
    )


def test_its_lag_is_what_was_sent_and_is_neither_judged_nor_stored() -> None:
    snapshot = Snapshot(100, 60, 10, 40, {}, [], 0.0, {"not an object": 5})
    assert snapshot.lags() == Lags(Lag(30, {}), Lag(15, {}))
    # A shadow may come, and a row, while the ones before are counted.
    assert snapshot._replace(shadows=95, rows=99).lags() == Lags(Lag(0, {}), Lag(0, {}))


@waits
def test_it_listens_here_only_and_ctrl_c_ends_it_with_0_and_leaves_nothing(directory: Path) -> None:
    scratch = scratch_in(directory)
    (port,) = free_ports(1)
    demo = start(scratch, DOMINATION_MONITOR=str(port))
    assert demo.stdout
    address = re.search(r"http://\S+", demo.stdout.readline())
    assert address
    assert address[0].rstrip("/").endswith(f"127.0.0.1:{port}")
    for line in demo.stdout:
        if re.search(r", [1-9][\d,]* rows, ", line):
            break
    with urllib.request.urlopen(address[0], timeout=PATIENT_SECONDS) as page:
        told = page.read().decode()
    assert "shadows wait for ClickHouse" in told
    assert "unknown" not in told.lower()
    running = [int(line.split()[0]) for line in processes(scratch)]
    assert len(running) == 2
    heard = set().union(*map(listening.addresses, running))
    assert heard == {IPv4Address("127.0.0.1")}
    demo.send_signal(signal.SIGINT)
    rest, _ = demo.communicate(timeout=PATIENT_SECONDS)
    assert demo.returncode == 0
    assert re.search(r"([\d,]+) humans = \1 rows \+ 0 dead letters, each row once", rest)
    assert list(scratch.iterdir()) == []
    assert processes(scratch) == []


@waits
def test_a_second_ctrl_c_ends_it_at_once_and_leaves_nothing_either(directory: Path) -> None:
    scratch = scratch_in(directory)
    demo = start(scratch)
    assert demo.stdout
    next(line for line in demo.stdout if "ratings" in line)
    demo.send_signal(signal.SIGINT)
    demo.send_signal(signal.SIGTERM)
    demo.communicate(timeout=PATIENT_SECONDS)
    assert demo.returncode in {128 + signal.SIGINT, 128 + signal.SIGTERM}
    assert list(scratch.iterdir()) == []
    assert processes(scratch) == []


@waits
def test_rows_are_kept_where_asked_and_a_later_demo_adds_to_them(directory: Path) -> None:
    scratch = scratch_in(directory)
    for _ in range(2):
        # The same seed, so the same humans: each demo answers for its own rows.
        arguments = ("demo", "--humans", "300", "--seed", "1", "--data", str(directory / "rows"))
        ended = run(*DOMINATION, *arguments, environment={"TMPDIR": str(scratch)})
        assert ended.returncode == 0, ended.stdout + ended.stderr
        assert "300 humans = 300 rows" in ended.stdout.splitlines()[-1]
    assert list(scratch.iterdir()) == []
    # Rows name humans: they are for nobody else.
    assert stat.S_IMODE((directory / "rows").stat().st_mode) == 0o700


@waits
def test_on_a_terminal_it_draws_and_ends_with_the_same_line(directory: Path) -> None:
    draws(directory, "utf-8", "█")


@waits
def test_on_a_terminal_without_blocks_it_draws_as_well(directory: Path) -> None:
    draws(directory, "iso-8859-1", "##")


def draws(directory: Path, encoding: str, bar: str) -> None:
    """Let it draw on a terminal of an encoding."""
    scratch = scratch_in(directory)
    seen = written(
        lambda output: start(scratch, "--humans", "200", output=output, PYTHONIOENCODING=encoding)
    )
    text = seen.decode(encoding)
    assert "Incompatible" in text
    assert bar in text
    assert "200 humans = 200 rows + 0 dead letters, each row once" in text


def test_a_directory_that_cannot_hold_the_rows_is_one_line_and_78(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ended = run(*DOMINATION, "demo", "--humans", "1", "--data", str(tmp_path / "file" / "rows"))
    assert ended.returncode == 78
    (line,) = ended.stderr.splitlines()
    assert line == f"domination: the demo cannot write to {tmp_path}/file/rows: Not a directory"


@waits
def test_a_second_demo_on_the_same_rows_is_one_line_and_78(directory: Path) -> None:
    scratch = scratch_in(directory)
    rows = str(directory / "rows")
    first = start(scratch, "--data", rows)
    assert first.stdout
    next(line for line in first.stdout if "ratings" in line)
    ended = run(*DOMINATION, "demo", "--humans", "1", "--data", rows)
    first.send_signal(signal.SIGINT)
    first.communicate(timeout=PATIENT_SECONDS)
    assert ended.returncode == 78
    # ClickHouse says in a line before it what it could not lock.
    line = ended.stderr.splitlines()[-1]
    assert line.startswith(f"domination: the embedded ClickHouse cannot use {rows}: end another ")


def test_without_a_temporary_directory_it_is_one_line_and_78() -> None:
    # No file may grow: no directory will do.
    ended = run("bash", "-c", f"ulimit -f 0; exec {' '.join(DOMINATION)} demo --humans 1")
    assert ended.returncode == 78
    (line,) = ended.stderr.splitlines()
    assert line.startswith("domination: no temporary directory to write to, set TMPDIR to one")


def make_run(terminal: int, scratch: Path) -> subprocess.Popen[bytes]:
    """Start `make run` on a terminal, with the programs of these tests."""
    programs = Path(sys.executable).parent
    return subprocess.Popen(
        ["setsid", "--ctty", "make", "-o", ".venv/.run", f"BIN={programs}", "run"],
        cwd=ROOT,
        env=CLEAN | {"TERM": "xterm", "TMPDIR": str(scratch)},
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
    )


@waits
def test_ctrl_c_ends_make_run_with_0_too(directory: Path) -> None:
    scratch = scratch_in(directory)
    seen = written(lambda terminal: make_run(terminal, scratch), interrupt_after=b"Ctrl-C")
    assert b"each row once" in seen
