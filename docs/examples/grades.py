"""A dataflow of your own on the ends of a worker: humans are graded, and those below zero unwanted.

    python -m bytewax.run docs/examples/grades.py:flow

It reads, commits and ends as `domination worker` does, with the same settings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import bytewax.operators as op
import orjson
from bytewax.dataflow import Dataflow

from domination.exactly_once import operators as xop
from domination.ratings import Reason, read
from domination.worker.wiring import ends_from_environment

if TYPE_CHECKING:
    from bytewax.inputs import Source
    from bytewax.outputs import Sink

    from domination.exactly_once.batch import Batch, Records
    from domination.ratings import Rating

PASSED = 50


def wanted(human: Rating) -> bool:
    """Tell whether a human is graded."""
    return human.rating >= 0


def grade(human: Rating) -> bytes:
    """Write the record of a human; its key, headers and timestamp are those of its rating."""
    return orjson.dumps(
        {"passed": human.rating >= PASSED, "rating": human.rating, "unique_id": human.unique_id}
    )


def grades(source: Source[Records], sink: Sink[Batch[bytes | None]]) -> Dataflow:
    """Make the dataflow between two ends: those on Kafka, or a test's."""
    flow = Dataflow("grades")
    records = op.input("records", flow, source)
    humans = xop.filter_faults("good", xop.map_all("read", records, read))
    graded = xop.filter("wanted", humans, wanted, Reason.UNWANTED, "the rating is below zero")
    op.output("grades", xop.map("grade", graded, grade), sink)
    return flow


def flow() -> Dataflow:
    """Make it between the topics of the settings; `bytewax.run` calls this."""
    ends = ends_from_environment()
    return grades(ends.source, ends.sink)
