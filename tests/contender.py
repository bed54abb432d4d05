"""Those who do the same job: what each is, with its strongest setting, and how it is started."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Final, NamedTuple

from pipeline import ROOT

if TYPE_CHECKING:
    from pathlib import Path

_PROGRAMS: Final = ROOT / "tests" / "contenders"
_VERSION: Final = "import importlib.metadata as m, sys; print(m.version(sys.argv[1]))"


class Contender(NamedTuple):
    """A way to do the job, with a Python of its own.

    In commands, {workers} is how many there should be and {directory} is for what it keeps.
    """

    name: str
    package: str
    python: str
    arguments: tuple[str, ...]
    prepare: tuple[str, ...] = ()
    """Arguments of what has to run once before."""
    shares: bool = True
    """Whether its processes share partitions as a group; else one process has all its workers."""

    def command(self, arguments: tuple[str, ...], directory: Path, workers: int) -> list[str]:
        """Give a command of its Python."""
        filled = (each.format(directory=directory, workers=workers) for each in arguments)
        return [self.python, *filled]

    def version(self) -> str:
        """Ask its Python which version it has."""
        command = [self.python, "-c", _VERSION, self.package]
        return subprocess.run(
            command, cwd=ROOT, check=True, capture_output=True, text=True
        ).stdout.strip()


def _python(folder: str) -> str:
    return str(ROOT / ".rivals" / folder / "bin" / "python")


OURS: Final = Contender(
    "Domination",
    "domination",
    sys.executable,
    ("-m", "domination", "worker"),
)
CONTENDERS: Final = (
    OURS,
    Contender(
        "Bytewax's own connectors",
        "bytewax",
        _python("bytewax"),
        (
            *("-m", "bytewax.run", f"{_PROGRAMS / 'stock_bytewax.py'}:flow", "-w", "{workers}"),
            *("-r", "{directory}", "-s", "0", "-b", "0"),
        ),
        prepare=("-m", "bytewax.recovery", "{directory}", "2"),
        shares=False,
    ),
    Contender(
        "Faust",
        "faust-streaming",
        _python("faust"),
        (str(_PROGRAMS / "faust_stream.py"), "worker", "-l", "info", "--without-web"),
    ),
    Contender(
        "Quix Streams",
        "quixstreams",
        _python("quix"),
        (str(_PROGRAMS / "quix_stream.py"),),
    ),
)
