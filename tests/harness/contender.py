"""Those who do the same job: what each is, with its strongest setting, and how it is started."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Final, NamedTuple

from harness import streams
from harness.processes import ROOT

if TYPE_CHECKING:
    from pathlib import Path

_PROGRAMS: Final = ROOT / "tests" / "chaos" / "contenders"
_JAVA: Final = "java"
_VERSION: Final = "import importlib.metadata as m, sys; print(m.version(sys.argv[1]))"


class Contender(NamedTuple):
    """A way to do the job, with a Python of its own, or in Java.

    In commands, {workers} is how many there should be and {directory} is for what it keeps.
    """

    name: str
    package: str
    program: str
    arguments: tuple[str, ...]
    prepare: tuple[str, ...] = ()
    """Arguments of what has to run once before."""
    shares: bool = True
    """Whether its processes share partitions as a group; else one process has all its workers."""

    def command(self, arguments: tuple[str, ...], directory: Path, workers: int) -> list[str]:
        """Give a command of its program."""
        filled = (each.format(directory=directory, workers=workers) for each in arguments)
        return [self.program, *filled]

    def version(self) -> str:
        """Ask its Python which version it has."""
        if self.program == _JAVA:
            return streams.version()
        command = [self.program, "-c", _VERSION, self.package]
        return subprocess.run(
            command, cwd=ROOT, check=True, capture_output=True, text=True
        ).stdout.strip()


def _python(folder: str) -> str:
    return str(ROOT / ".rivals" / folder / "bin" / "python")


_STREAMS: Final = {
    "processing.guarantee": "exactly_once_v2",
    "commit.interval.ms": "100",
    "num.stream.threads": "1",
    "consumer.auto.offset.reset": "earliest",
    "consumer.session.timeout.ms": "6000",
    "consumer.heartbeat.interval.ms": "1500",
    # As ours: after it a reader need not wait for a worker that was killed.
    "producer.transaction.timeout.ms": "10000",
    "state.dir": "{directory}",
}
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
    Contender(
        "Plain confluent-kafka loop",
        "confluent-kafka",
        sys.executable,
        (str(_PROGRAMS / "plain_loop.py"),),
    ),
    Contender(
        "Kafka Streams",
        "kafka-streams",
        _JAVA,
        streams.arguments("256m", _STREAMS),
    ),
)
