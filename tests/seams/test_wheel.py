"""The wheel: what is in it, and how it lives beside another distribution's `dataflows`."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
from typing import TYPE_CHECKING
from zipfile import ZipFile

import pytest

from harness.processes import CLEAN, ROOT
from harness.records import humans

if TYPE_CHECKING:
    from pathlib import Path

    from harness.pipeline import Pipeline

# What the wheel's `domination` needs; a path in it is not followed, so it gives no checkout.
DEPENDENCIES = sysconfig.get_path("purelib")


def run(*command: str, cwd: Path) -> str:
    ended = subprocess.run(command, cwd=cwd, env=CLEAN, check=False, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def build(project: Path, target: Path) -> str:
    """Build a wheel of a project; give its path."""
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(target), cwd=project)
    (wheel,) = target.iterdir()
    return str(wheel)


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> str:
    return build(ROOT, tmp_path_factory.mktemp("ours"))


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Build a stand-in for PyPI's dataflows: a regular package of that name, as theirs is."""
    project = tmp_path_factory.mktemp("project")
    (project / "dataflows").mkdir()
    (project / "dataflows" / "__init__.py").write_text("from dataflows.base import Flow\n")
    (project / "dataflows" / "base.py").write_text("class Flow: pass\n")
    (project / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
        '[project]\nname = "dataflows"\nversion = "1"\n'
    )
    return build(project, tmp_path_factory.mktemp("theirs"))


class Environment:
    """A virtual environment without pip, its own packages before those of the tests."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.python = str(directory / "venv" / "bin" / "python")
        venv.create(directory / "venv")

    def pip(self, command: str, *arguments: str) -> None:
        pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", self.python)
        run(*pip, command, *arguments, cwd=self._directory)

    def install(self, wheel: str) -> None:
        self.pip("install", "--no-index", "--no-deps", wheel)

    def told(self, code: str) -> str:
        return run(*self.command("-c", code), cwd=self._directory)

    def command(self, *command: str) -> list[str]:
        """Give a command of its Python away from the checkout."""
        where = (f"--chdir={self._directory}", f"PYTHONPATH={DEPENDENCIES}")
        return ["env", *where, self.python, *command]


def test_the_wheel_has_every_module_the_tables_and_the_mark_of_types(ours: str) -> None:
    packed = set(ZipFile(ours).namelist())
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "domination").rglob("*.py")}
    tables = {f"domination/sql/{path.name}" for path in (ROOT / "schema").glob("*.sql")}
    assert modules | tables | {"domination/py.typed", "dataflows/dominate.py"} <= packed


@pytest.mark.parametrize("first", ["ours", "theirs"])
def test_it_lives_beside_another_dataflows_and_leaves_it_whole(
    pipeline: Pipeline, tmp_path: Path, ours: str, theirs: str, first: str
) -> None:
    environment = Environment(tmp_path)
    for wheel in (ours, theirs) if first == "ours" else (theirs, ours):
        environment.install(wheel)
    where = "import dataflows.dominate, domination; print(dataflows.Flow, domination.__file__)"
    assert f"{tmp_path}/venv" in environment.told(where)

    pipeline.create()
    pipeline.send(humans(100))
    command = environment.command("-m", "bytewax.run", "dataflows.dominate:flow")
    worker = pipeline.worker(command=command)
    pipeline.drained()
    assert worker.stop() == 0
    assert len(pipeline.read(pipeline.output).records) == 100

    environment.pip("uninstall", "--yes", "domination")
    assert "Flow" in environment.told("import dataflows; print(dataflows.Flow)")


def test_it_needs_no_other_dataflows(tmp_path: Path, ours: str) -> None:
    environment = Environment(tmp_path)
    environment.install(ours)
    told = environment.told("import dataflows.dominate; print(dataflows.dominate.__file__)")
    assert f"{tmp_path}/venv" in told
