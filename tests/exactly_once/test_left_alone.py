"""What the library leaves alone in the process of its owner."""

from __future__ import annotations

import subprocess
import sys
from typing import Final

import pytest

from harness.processes import CLEAN, PATIENT_SECONDS, ROOT


def python(code: str) -> subprocess.CompletedProcess[str]:
    """Run code in an interpreter of its own."""
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=CLEAN,
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENT_SECONDS,
    )


@pytest.mark.parametrize("module", ["", ".batch", ".options", ".reserved", ".dead_letter", ".rule"])
def test_what_travels_and_what_is_told_load_no_kafka_client_and_no_bytewax(module: str) -> None:
    code = f"import sys, domination.exactly_once{module}\n"
    code += "print({'bytewax', 'confluent_kafka'} & {each.split('.')[0] for each in sys.modules})"
    assert python(code).stdout == "set()\n"


LEFT_ALONE: Final = """
import gc, logging, os, signal, sys
sys.path += ["tests"]
from harness import listening

def state():
    loggers = list(map(logging.getLogger, (None, "domination", "exactly_once")))
    return {
        "gc": gc.get_threshold(),
        "signals": [signal.getsignal(each) for each in sorted(signal.valid_signals())],
        "wake-up": signal.set_wakeup_fd(-1),
        "logging": [(each.level, each.handlers[:]) for each in loggers],
        "listens": listening.addresses(os.getpid()),
    }

found = [state()]
import bytewax.operators as op
from bytewax.dataflow import Dataflow
from domination.exactly_once.defaults import StopEvent
from domination.exactly_once.ends import Ends
from domination.exactly_once.options import Options, Topics
from domination.kafka.faults import UnavailableError

class Watching(StopEvent):
    def pause(self, seconds):
        found.append(state())
        super().pause(seconds)

topics = Topics("orders", ("bills",), "letters")
options = Options(availability_timeout=0.5)
ends = Ends({"bootstrap.servers": "127.0.0.1:1"}, topics, "g", options=options, stop=Watching())
flow = Dataflow("nothing")
op.output("out", op.input("in", flow, ends.source), ends.sink)
try:
    ends.run(flow)
except UnavailableError as error:
    print(error)
found.append(state())
print(len(found) > 2, [name for each in found for name in each if each[name] != found[0][name]])
"""


def test_the_ends_log_and_raise_and_leave_signals_handlers_gc_and_ports_alone() -> None:
    ended = python(LEFT_ALONE)
    error, left = ended.stdout.splitlines()
    assert "no broker at 127.0.0.1:1" in error
    assert left == "True []"
    # Where nobody has set up logging, Python itself prints warnings and errors.
    assert error in ended.stderr.splitlines()
    assert "Traceback" not in ended.stderr
