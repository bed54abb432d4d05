"""`make run` and `make test` install what each needs, with a Python that fits, on any machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Final

import pytest

from harness.processes import ROOT

if TYPE_CHECKING:
    from pathlib import Path

TOOLS: Final = ("sh", "make", "rm", "mkdir", "touch", "env", "cat", "cp", "chmod")
# Python as the recipes meet it: it makes a .venv of copies of itself, and writes down the rest.
PYTHON: Final = f"""\
#!/bin/sh
case "$*" in
    "-c "*) exec {sys.executable} -c "import sys; sys.version_info = VERSION; $2" ;;
    "-m venv --clear .venv") rm -rf .venv; mkdir -p .venv/bin; cp "$0" .venv/bin/python ;;
esac
echo "${{0##*/}} $*" >>calls
"""
UV: Final = """\
#!/bin/sh
echo "uv $*" >>calls
mkdir -p .venv/bin
cp "${0%/*}/fitting" .venv/bin/python
"""
LINE: Final = "domination needs Python 3.10, 3.11 or 3.12 with venv"


class Machine:
    """A machine of a few programs, and a checkout on it."""

    def __init__(self, directory: Path) -> None:
        self._programs, self._checkout = directory / "bin", directory / "checkout"
        self._programs.mkdir()
        (self._checkout / "scripts").mkdir(parents=True)
        names = ("Makefile", "pyproject.toml", "requirements-demo.lock", "requirements-dev.lock")
        for name in (*names, "scripts/venv.sh"):
            shutil.copy(ROOT / name, self._checkout / name)
        for tool in TOOLS:
            (self._programs / tool).symlink_to(shutil.which(tool) or tool)

    def has(self, name: str, text: str) -> None:
        """Put a program on its path."""
        program = self._programs / name
        program.write_text(text)
        program.chmod(0o755)

    def has_python(self, name: str, minor: int) -> None:
        self.has(name, PYTHON.replace("VERSION", f"(3, {minor}, 0)"))

    def make(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        (self._checkout / "calls").write_text("")
        return subprocess.run(
            ["make", *arguments],
            cwd=self._checkout,
            env={"PATH": str(self._programs)},
            capture_output=True,
            text=True,
            check=False,
        )

    def calls(self) -> list[str]:
        """Give what the last `make` called, without pip's options."""
        pip = "-m pip install --quiet --disable-pip-version-check "
        return (self._checkout / "calls").read_text().replace(pip, "pip ").splitlines()

    def touch(self, name: str) -> None:
        """Make a file of the checkout newer than all others."""
        later = time.time() + 60
        os.utime(self._checkout / name, (later, later))


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


DEMO: Final = [
    "python pip --require-hashes -r requirements-demo.lock",
    "python pip --no-deps --no-build-isolation -e .",
]
TESTS: Final = "python pip --require-hashes -r requirements-dev.lock"
RUN: Final = "python scripts/foreground.py .venv/bin/domination demo"
TEST: Final = "python -m pytest"


def test_run_installs_what_the_demo_needs_and_test_adds_the_rest_each_once(
    machine: Machine,
) -> None:
    machine.has_python("python3", 11)
    first = machine.make("run")
    assert first.returncode == 0, first.stderr
    assert machine.calls() == ["python3 -m venv --clear .venv", *DEMO, RUN]
    (line,) = first.stdout.splitlines()
    assert line.startswith("installing what the demo needs into .venv")

    second = machine.make("test")
    assert machine.calls()[0] == TESTS
    assert machine.calls()[1].startswith(TEST)
    assert second.stdout.startswith("installing what the tests need into .venv")

    for target, does in {"run": RUN, "test": TEST}.items():
        assert "installing" not in machine.make(target).stdout
        (call,) = machine.calls()
        assert call.startswith(does)


def test_a_changed_lock_is_installed_again(machine: Machine) -> None:
    machine.has_python("python3", 11)
    machine.make("install")
    machine.touch("requirements-dev.lock")
    machine.make("install")
    assert machine.calls() == [TESTS]
    machine.touch("requirements-demo.lock")
    machine.make("install")
    assert machine.calls() == ["python3 -m venv --clear .venv", *DEMO, TESTS]


@pytest.mark.parametrize("named", [(), ("python3.13",), ("/no/such/python",)])
def test_without_a_python_that_fits_it_says_so_in_one_line_and_names_the_one_given(
    machine: Machine, named: tuple[str, ...]
) -> None:
    for name in ("python3", "python3.13"):
        machine.has_python(name, 13)
    ended = machine.make("run", *(f"PYTHON={each}" for each in named))
    assert ended.returncode == 2
    line, make_line = ended.stderr.splitlines()
    assert line.startswith("".join(f"{given} is no Python that fits: " for given in named) + LINE)
    assert make_line.endswith("Error 1")
    assert (ended.stdout, machine.calls()) == ("", [])


def test_the_first_python_that_fits_is_taken_before_any_of_uv(machine: Machine) -> None:
    machine.has("uv", UV)
    machine.has_python("python3", 13)
    machine.has_python("python3.11", 11)
    machine.make("run")
    assert machine.calls()[0] == "python3.11 -m venv --clear .venv"


@pytest.mark.parametrize("python", [None, 13, "no venv"])
def test_where_none_fits_uv_brings_one(machine: Machine, python: int | str | None) -> None:
    if python == 13:
        machine.has_python("python3", 13)
    elif python:
        # As Debian's is without the package python3-venv.
        without = PYTHON.replace("VERSION", "(3, 11, 0); sys.modules['ensurepip'] = None")
        machine.has("python3", without)
    machine.has_python("fitting", 12)
    machine.has("uv", UV)
    ended = machine.make("run")
    assert ended.returncode == 0, ended.stderr
    made = "uv venv --quiet --seed --python >=3.10,<3.13 .venv"
    assert machine.calls() == [made, *DEMO, RUN]
    assert ended.stdout.startswith("no Python 3.10, 3.11 or 3.12 with venv here: taking uv's\n")
