"""A stable name for each worker."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domination.identity import Identity
from domination.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path


def test_two_live_workers_on_a_host_never_share_a_name(tmp_path: Path) -> None:
    taken = [Identity(Settings(), 0, tmp_path) for _ in range(3)]
    assert len({each.transactional_id for each in taken}) == 3


def test_a_restart_takes_its_own_name_back(tmp_path: Path) -> None:
    first, second = (Identity(Settings(), 0, tmp_path) for _ in range(2))
    name = first.instance
    first.release()
    assert Identity(Settings(), 0, tmp_path).instance == name
    assert second.instance != name


def test_workers_of_one_process_and_groups_of_one_host_have_names_of_their_own(
    tmp_path: Path,
) -> None:
    names = {
        Identity(Settings(group=group), index, tmp_path).transactional_id
        for group in ("g", "g/..", "h")
        for index in range(3)
    }
    assert len(names) == 9


def test_a_given_instance_is_the_name(tmp_path: Path) -> None:
    identity = Identity(Settings(group="g", instance="pod-7"), 2, tmp_path)
    assert identity.transactional_id == "domination-g-pod-7-2"
    assert not list(tmp_path.iterdir())
