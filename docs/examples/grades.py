"""A dataflow of your own on the two ends: humans are graded, and those below zero are unwanted.

    python -m bytewax.run docs/examples/grades.py:flow

It reads, commits and ends as `domination worker` does, with the same settings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import bytewax.operators as op
import orjson
from bytewax.dataflow import Dataflow

from domination.exactly_once.batch import Fault, Outcome
from domination.kafka import ends_from_environment
from domination.ratings import Rating, Ratings, Reason, read, refuse

if TYPE_CHECKING:
    from bytewax.inputs import Source
    from bytewax.outputs import Sink

    from domination.exactly_once.batch import Records

PASSED = 50


def unwanted(human: Rating) -> Fault | None:
    """Say why a human is not graded: it becomes a dead letter."""
    return Fault(Reason.UNWANTED, "the rating is below zero") if human.rating < 0 else None


def grade(batch: Ratings) -> Outcome:
    """Write a record for each human of a batch; keys, rejects and origin pass by."""
    values = [
        orjson.dumps({"passed": rating >= PASSED, "rating": rating, "unique_id": unique_id})
        for rating, unique_id in zip(batch.ratings, batch.unique_ids, strict=True)
    ]
    return Outcome(values, batch.keys, batch.rejects, batch.origin)


def grades(source: Source[Records], sink: Sink[Outcome]) -> Dataflow:
    """Make the dataflow between two ends: those on Kafka, or a test's."""
    flow = Dataflow("grades")
    records = op.input("records", flow, source)
    ratings = op.map("read", records, read)
    wanted = op.map("refuse", ratings, lambda batch: refuse(batch, unwanted))
    graded = op.map("grade", wanted, grade)
    op.output("grades", graded, sink)
    return flow


def flow() -> Dataflow:
    """Make it between the topics of the settings; `bytewax.run` calls this."""
    return grades(*ends_from_environment())
