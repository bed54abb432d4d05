"""Programs of the library whose steps break their contract."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

import pytest

from harness.processes import eventually
from harness.records import humans

if TYPE_CHECKING:
    from harness.pipeline import Pipeline

WRONG: Final = """
import logging, sys
import bytewax.operators as op
from bytewax.dataflow import Dataflow
from domination.exactly_once import operators as xop, session
from domination.exactly_once.batch import Records
from domination.exactly_once.ends import Ends
from domination.exactly_once.options import Topics

logging.basicConfig(level="INFO")
session.STUCK_SECONDS = {stuck}
servers, read, write, dead_letters, group = sys.argv[1:]
ends = Ends({{"bootstrap.servers": servers}}, Topics(read, (write,), dead_letters), group)
flow = Dataflow("wrong")
batches = op.input("records", flow, ends.source)
broken = {step}
op.output("values", broken, ends.sink)
ends.run(flow, workers=2)
"""


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ("op.filter('drop', batches, lambda batch: False)", "drops or keeps batches"),
        ("op.flat_map('twice', batches, lambda b: [b, b])", "gave the sink a batch twice"),
        ("op.redistribute('move', batches)", "moved a batch to another worker"),
        (
            "op.map('lose', batches, lambda b: b.outcome(b.items[1:]))",
            "lost or added records",
        ),
        ("op.map('own', batches, lambda b: Records('x', b.items))", "made records of its own"),
        ("op.flat_map('apart', batches, lambda b: b.items)", "gave a bytes"),
        ("op.map('raise', batches, lambda b: 1 / 0)", "ZeroDivisionError"),
        ("xop.map_batch('raise', batches, lambda b: {}[0])", "exactly_once:KeyError: 0\nTraceback"),
    ],
)
def test_a_step_that_breaks_the_contract_ends_the_program_with_1_and_none_of_it_is_committed(
    pipeline: Pipeline, step: str, said: str
) -> None:
    pipeline.create()
    pipeline.send(humans(200))
    arguments = pipeline.bootstrap_servers, pipeline.input, pipeline.output, pipeline.dead
    # Nobody waits for a batch that does not come where something else is wrong.
    stuck = 1 if "drops" in said else 600
    command = (sys.executable, "-c", WRONG.format(step=step, stuck=stuck))
    worker = pipeline.worker(*arguments, pipeline.group, command=command)

    def ended() -> bool:
        pipeline.send(humans(20))  # Each batch is moved or not, by chance.
        return worker.process.poll() is not None

    eventually(ended)
    assert worker.wait() == 1, worker.output
    assert said in worker.output
    assert len(pipeline.read(pipeline.output).records) == sum(pipeline.committed().values())
