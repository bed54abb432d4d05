"""A stable name for each worker."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import uuid
from typing import TYPE_CHECKING
from unittest.mock import Mock

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from domination.advice import expected
from domination.errors import Exit
from domination.exactly_once.errors import NoNameError
from domination.exactly_once.identity import Identity
from domination.exactly_once.options import id_prefix

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Take = Callable[..., Identity]
    Other = Callable[..., tuple[subprocess.Popen[str], str]]

names = st.text(st.sampled_from("a-/%2F.0"), min_size=1, max_size=5)
given_names = st.tuples(names, names, names, st.integers(0, 11))


@pytest.fixture
def take() -> Iterator[Take]:
    """Take names as workers of this host do, with options of a name of their own."""
    taken: list[Identity] = []
    alone = uuid.uuid4().hex  # Else another run of the tests on this host would take names, too.

    def take_one(group: str = "g", worker_index: int = 0, instance: str = "") -> Identity:
        taken.append(Identity(alone, group, instance, worker_index))
        return taken[-1]

    yield take_one
    for each in taken:
        each.release()


def test_two_live_workers_on_a_host_never_share_a_name(take: Take) -> None:
    assert len({take().transactional_id for _ in range(3)}) == 3


def test_a_restart_takes_its_own_name_back(take: Take) -> None:
    first, second = take(), take()
    first.release()
    assert take().instance == first.instance
    assert second.instance != first.instance


def test_workers_of_one_process_and_groups_of_one_host_have_names_of_their_own(take: Take) -> None:
    names = {
        take(group, index).transactional_id for group in ("g", "g/..", "h") for index in range(3)
    }
    assert len(names) == 9


@given(given_names, given_names)
@example(("n", "G", "b-c", 0), ("n", "G-b", "c", 0))
@example(("n", "G", "b/c", 0), ("n", "G/b", "c", 0))
@example(("n", "a/b", "c", 0), ("n", "a%2Fb", "c", 0))
def test_workers_share_a_transactional_id_only_where_all_that_they_are_told_is_the_same(
    one: tuple[str, str, str, int], other: tuple[str, str, str, int]
) -> None:
    one_id, other_id = (Identity(*each).transactional_id for each in (one, other))
    assert (one_id == other_id) == (one == other)
    # What one group has the right to is nothing of another's.
    assert one_id.startswith(id_prefix(*one[:2]))
    assert one_id.startswith(id_prefix(*other[:2])) == (one[:2] == other[:2])


@given(names, names)
@example("a", "a-1")
@example("a", "a-0.0")
def test_no_given_instance_is_the_name_of_a_slot(host: str, instance: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("socket.gethostname", lambda: host)
        taken = [Identity("n", "g", "", 0) for _ in range(2)]
        slots = {each.instance for each in taken}
        assert len(slots) == 2
        assert slots.isdisjoint(Identity("n", "g", instance, index).instance for index in range(2))
        for each in taken:
            each.release()


def test_a_given_instance_is_the_name_and_is_not_held() -> None:
    same = [Identity("billing", "g", "pod-7", 2).transactional_id for _ in range(2)]
    assert same == ["billing/g/pod-7-2"] * 2


OTHER = """
import sys
from domination.exactly_once.identity import Identity
mine = Identity(sys.argv[1], "g", "", 0)
print(mine.instance, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def other() -> Iterator[Other]:
    """Start workers of other processes, each of which tells its name and then waits."""
    started: list[subprocess.Popen[str]] = []

    def start(name: str, **more: str) -> tuple[subprocess.Popen[str], str]:
        command = [sys.executable, "-c", OTHER, name]
        pipe = subprocess.PIPE
        process = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, text=True, env={**os.environ, **more}
        )
        started.append(process)
        assert process.stdout
        return process, process.stdout.readline().strip()

    yield start
    for each in started:
        each.communicate()


# What stood where the names of earlier versions were locked.
LAID: dict[str, Callable[[Path], object]] = {
    "nothing": lambda _: None,
    "a dangling link": lambda place: place.symlink_to("nowhere"),
    "a file": lambda place: place.touch(),
    "a fifo": os.mkfifo,
    "a directory": lambda place: place.mkdir(),
}


@pytest.mark.parametrize("laid", LAID)
def test_workers_with_temporary_directories_of_their_own_have_names_of_their_own(
    other: Other, tmp_path: Path, laid: str
) -> None:
    options = uuid.uuid4().hex
    LAID[laid](tmp_path / f"{options}-{os.getuid()}")
    _, first = other(options)
    _, second = other(options, TMPDIR=str(tmp_path))
    assert [first, second] == [f"{socket.gethostname()}-{slot}.0" for slot in range(2)]


def test_a_name_needs_no_file_that_someone_could_delete_or_that_cannot_be_written(
    take: Take, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    first = take()
    shutil.rmtree(tmp_path)
    tmp_path.touch()
    assert take().instance != first.instance


def test_the_name_of_a_killed_worker_is_free_at_once(other: Other) -> None:
    options = uuid.uuid4().hex
    killed, name = other(options)
    killed.kill()
    killed.wait()
    assert other(options)[1] == name


def test_a_group_of_any_length_has_slots(take: Take) -> None:
    assert take("g" * 4_000).instance != take("g" * 4_000).instance


@pytest.mark.parametrize("call", ["socket", "bind"])
def test_a_host_that_lets_nobody_hold_a_name_ends_with_78_and_the_setting(
    take: Take, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def refused(*_: object) -> None:
        raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")

    sockets = {"socket": refused, "bind": lambda *_: Mock(bind=refused)}
    monkeypatch.setattr("socket.socket", sockets[call])
    with pytest.raises(NoNameError, match="not supported") as raised:
        take()
    end = expected(raised.value)
    assert end
    assert end.exit_code is Exit.SETTING
    assert "set DOMINATION_INSTANCE" in str(end)
    # Who is given a name needs none of this.
    assert take("g", 0, "mine").instance == "mine-0"
