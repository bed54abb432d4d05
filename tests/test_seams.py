"""Facts that live in two places."""

from __future__ import annotations

import re
from pathlib import Path

from domination.cli import cli
from domination.errors import Exit
from domination.settings import Settings
from domination.wire import Reason

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_each_command_in_the_readme_is_one() -> None:
    named = set(re.findall(r"domination ([a-z-]+)", re.sub(r"pip install domination", "", README)))
    assert {"worker", "produce", "topics", "check", "judge", "config"} <= named
    assert named - {"worker"} <= set(cli.commands) | {"worker"}


def test_each_setting_stands_in_the_readme_with_its_default() -> None:
    for name, default in Settings().shown():
        row = next(line for line in README.splitlines() if line.startswith(f"| `{name}`"))
        assert f"`{default}`" in row or not default


def test_each_exit_code_stands_in_the_readme() -> None:
    codes = {int(code) for code in re.findall(r"^\| (\d+) \|", README, re.MULTILINE)}
    assert codes == {int(code) for code in Exit}


def test_each_reason_stands_in_the_readme() -> None:
    for reason in Reason:
        assert f"`{reason.value}`" in README


def test_each_make_target_in_the_readme_is_one() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"make ([a-z]+)", README)) <= targets | {"run"}


def test_the_lock_has_every_dependency() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    lists = re.findall(r"^(?:dependencies|dev) = \[\n(.*?)^\]", project, re.MULTILINE | re.DOTALL)
    named = re.findall(r'^ +"([^"]+)"', "".join(lists), re.MULTILINE)
    assert "orjson" in str(named)
    assert "pytest" in named
    lock = (ROOT / "requirements.lock").read_text()
    for requirement in named:
        name = re.split(r"[<>=]", requirement)[0]
        assert re.search(rf"^{name}==", lock, re.MULTILINE)
