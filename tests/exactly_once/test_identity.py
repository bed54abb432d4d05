"""A stable name for each worker."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from domination.exactly_once.identity import Identity
from domination.kafka.faults import SettingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Take = Callable[..., Identity]


@pytest.fixture
def take(tmp_path: Path) -> Iterator[Take]:
    """Take names as workers of this host do; all are given up at the end."""
    taken: list[Identity] = []

    def take_one(group: str = "g", worker_index: int = 0, instance: str = "") -> Identity:
        taken.append(Identity("billing-", group, instance, worker_index, tmp_path))
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


def test_a_given_instance_is_the_name_and_needs_no_lock(take: Take, tmp_path: Path) -> None:
    assert take("g", 2, "pod-7").transactional_id == "billing-g-pod-7-2"
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
        Identity("billing-", "g", "", 0, directory)
    assert list(tmp_path.glob("*/*")) == []
