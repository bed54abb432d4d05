"""The dataflows that docs/change.md shows, and what becomes of those that break its contract."""

from __future__ import annotations

import sys
from collections import Counter
from typing import TYPE_CHECKING

import orjson
import pytest
from bytewax.testing import TestingSink, TestingSource, run_main

from domination.exactly_once.batch import Batch, Fault, Records, Reject
from domination.ratings import Reason, parse
from grades import grades
from pipeline import eventually
from records import BAD, humans, mixed

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline import Pipeline

GRADES = (sys.executable, "-m", "bytewax.run", "docs/examples/grades.py:flow")


def test_it_needs_no_broker_to_be_tried() -> None:
    values = [b'{"rating":%d,"unique_id":"x"}' % rating for rating in (50, -1, 49)]
    arrived: list[Batch[bytes | None]] = []
    source = TestingSource([Records("dominate", values)])
    run_main(grades(source, TestingSink(arrived)))  # type: ignore[no-untyped-call]  # it is Rust's
    (batch,) = arrived
    assert [orjson.loads(value or b"")["passed"] for value in batch.items] == [True, False]
    assert batch.kept("abc") == ["a", "c"]
    assert batch.rejects == [Reject(1, Fault(Reason.UNWANTED, "the rating is below zero"))]


def test_it_grades_each_human_once_though_it_is_killed(pipeline: Pipeline) -> None:
    pipeline.create()
    pipeline.send(mixed(3_000))
    first = pipeline.worker(command=GRADES)
    first.until("assigned")
    pipeline.send(humans(1_500, seed=2), rate=3_000)
    first.kill()
    second = pipeline.worker(command=GRADES)
    pipeline.drained()
    assert second.stop() == 0
    sent = [parse(value) for value, _ in pipeline.sent if value not in BAD]
    ratings = {each.unique_id: each.rating for each in sent if not isinstance(each, Fault)}
    graded = pipeline.read(pipeline.output).values()
    assert Counter((each["unique_id"], each["rating"]) for each in graded) == Counter(
        (unique_id, rating) for unique_id, rating in ratings.items() if rating >= 0
    )
    assert all(each["passed"] == (each["rating"] >= 50) for each in graded)
    letters = [dict(each.headers() or []) for each in pipeline.read(pipeline.dead).records]
    reasons = Counter(each["domination.error.reason"] for each in letters)
    assert reasons.pop(b"unwanted") == sum(rating < 0 for rating in ratings.values()) > 100
    bad = (BAD[value] for value, _ in pipeline.sent if value in BAD)
    assert reasons == Counter(map(str.encode, bad))


WRONG = """
import bytewax.operators as op
from bytewax.dataflow import Dataflow
from domination.exactly_once import operators as xop
from domination.exactly_once import session
from domination.exactly_once.batch import Outcome
from domination.worker.wiring import ends_from_environment
session.STUCK_SECONDS = 1
ends = ends_from_environment()
flow = Dataflow("wrong")
batches = op.input("records", flow, ends.source)
{step}
op.output("grades", batches, ends.sink)
"""


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (
            "batches = op.filter('drop', batches, lambda batch: False)",
            "drops, keeps or repeats",
        ),
        (
            "batches = op.flat_map('twice', batches, lambda b: [b, b])",
            "drops, keeps or repeats",
        ),
        ("batches = op.redistribute('move', batches)", "moved a batch to another worker"),
        (
            "batches = op.map('lose', batches, lambda b: Outcome(b.records, b.items[1:]))",
            "lost or added records",
        ),
        (
            "batches = xop.map_all('lose', batches, lambda items: items[1:])",
            "one for each",
        ),
    ],
)
def test_a_step_that_breaks_the_contract_ends_the_worker_with_1_and_nothing_of_it_is_committed(
    pipeline: Pipeline, tmp_path: Path, step: str, said: str
) -> None:
    pipeline.create()
    pipeline.send(humans(200))
    (tmp_path / "wrong.py").write_text(WRONG.format(step=step))
    command = (sys.executable, "-m", "bytewax.run", f"{tmp_path}/wrong.py:flow", "-w", "2")
    worker = pipeline.worker(command=command)
    worker.until("assigned")

    def ended() -> bool:
        pipeline.send(humans(20))  # Each batch is moved or not, by chance.
        return worker.process.poll() is not None

    eventually(ended)
    assert worker.wait() == 1, worker.output
    assert said in worker.output
    assert "panic" not in worker.output
    assert len(pipeline.read(pipeline.output).records) == sum(pipeline.committed().values())
