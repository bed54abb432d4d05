"""A stable name for each worker."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from domination.exactly_once.identity import Identity
from domination.exactly_once.options import id_prefix
from domination.kafka.faults import SettingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Take = Callable[..., Identity]

names = st.text(st.sampled_from("a-/%2F.0"), min_size=1, max_size=5)
given_names = st.tuples(names, names, names, st.integers(0, 11))


@pytest.fixture
def take(tmp_path: Path) -> Iterator[Take]:
    """Take names as workers of this host do; all are given up at the end."""
    taken: list[Identity] = []

    def take_one(group: str = "g", worker_index: int = 0, instance: str = "") -> Identity:
        taken.append(Identity("billing", group, instance, worker_index, tmp_path))
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
    one_id, other_id = (
        Identity(*each, directory=Path("/")).transactional_id for each in (one, other)
    )
    assert (one_id == other_id) == (one == other)
    # What one group has the right to is nothing of another's.
    assert one_id.startswith(id_prefix(*one[:2]))
    assert one_id.startswith(id_prefix(*other[:2])) == (one[:2] == other[:2])


@given(names, names)
@example("a", "a-1")
@example("a", "a-0.0")
def test_no_given_instance_is_the_name_of_a_slot(host: str, instance: str) -> None:
    with TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as patch:
        patch.setattr("socket.gethostname", lambda: host)
        taken = [Identity("n", "g", "", 0, Path(directory)) for _ in range(2)]
        slots = {each.instance for each in taken}
        assert len(slots) == 2
        assert slots.isdisjoint(
            Identity("n", "g", instance, index, Path(directory)).instance for index in range(2)
        )
        for each in taken:
            each.release()


def test_a_given_instance_is_the_name_and_needs_no_lock(take: Take, tmp_path: Path) -> None:
    assert take("g", 2, "pod-7").transactional_id == "billing/g/pod-7-2"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("laid", ["link", "open", "foreign"])
def test_a_directory_that_another_user_may_have_laid_is_refused(
    tmp_path: Path, laid: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = tmp_path / "locks"
    if laid == "link":
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        directory.symlink_to(tmp_path / "elsewhere")
    else:
        directory.mkdir()
        directory.chmod(0o777 if laid == "open" else 0o700)
    if laid == "foreign":
        monkeypatch.setattr("os.getuid", lambda: directory.stat().st_uid + 1)
    with pytest.raises(SettingError, match=str(directory)):
        Identity("billing", "g", "", 0, directory)
    assert list(tmp_path.glob("*/*")) == []
