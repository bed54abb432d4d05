"""A dataflow of one's own between the two ends, on a real Kafka: its filters, and its mistakes."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING
from urllib.request import urlopen

import bytewax.operators as op
import pytest
from bytewax.dataflow import Dataflow

from domination.exactly_once import operators as xop
from domination.exactly_once.defaults import Quiet, StopEvent
from domination.exactly_once.ends import Ends
from domination.exactly_once.options import Topics
from harness.processes import PATIENT_SECONDS, eventually
from harness.records import humans

if TYPE_CHECKING:
    from pathlib import Path

    from domination.exactly_once.ports import Committed
    from harness.pipeline import Pipeline
    from harness.processes import Worker

FLOW = """
import bytewax.operators as op
from bytewax.dataflow import Dataflow
from domination.exactly_once import operators as xop
from domination.exactly_once.batch import Batch, Fault, Records, Reject
from domination.worker.wiring import ends_from_environment
ends = ends_from_environment()
flow = Dataflow("own")
records = op.input("records", flow, ends.source)
no = [Reject(0, Fault("no", "no"))]
{step}
op.output("shadows", written, ends.sink)
"""


def own_worker(pipeline: Pipeline, directory: Path, step: str, **more: str) -> Worker:
    """Start a worker with a step of its own; what it gives is `written`."""
    (directory / "own.py").write_text(FLOW.format(step=step))
    command = (sys.executable, "-m", "bytewax.run", f"{directory}/own.py:flow")
    return pipeline.worker(command=command, **more)


WRONG = {
    "a lost item": (
        "written = xop.map_all('lose', records, lambda values: values[1:])",
        "a step made 9 items of 10: it has to give one for each (step own.lose)",
    ),
    "a lost key": (
        "written = op.map('lose', records, lambda b: b.outcome(b.values, keys=b.keys[1:]))",
        "a step gave 9 keys for 10 values",
    ),
    "a place twice": (
        "written = op.map('twice', records, lambda b: Batch(b, b.items[2:], None, no * 2))",
        "a step rejected a record twice",
    ),
    "a list": (
        "written = op.map('list', records, lambda b: list(b.values))",
        "a step gave a list: give the batch, or batch.outcome(values)",
    ),
    "a list where it is made": (
        "written = xop.map_batch('list', records, lambda b: list(b.values))",
        "a step gave a list: give the batch, or batch.outcome(values) (step own.list)",
    ),
    "records of its own": (
        "written = op.map('new', records, lambda b: Records(b.topic, b.values))",
        "a step made records of its own: give the batch that it got, or batch.outcome(values)",
    ),
    "topics too few": (
        "written = op.map('topics', records, lambda b: b.outcome(b.values, topics=['x']))",
        "a step gave 1 topics for 10 values",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_step_that_breaks_the_contract_ends_with_1_and_says_how(
    pipeline: Pipeline, tmp_path: Path, wrong: str
) -> None:
    step, says = WRONG[wrong]
    pipeline.create(partitions=1)
    pipeline.send(humans(10))
    assert_bug(pipeline, own_worker(pipeline, tmp_path, step), f"BrokenContractError: {says}")


def test_a_step_that_raises_ends_with_1_and_its_message_after_all_steps_behind_it(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    pipeline.create(partitions=1)
    pipeline.send(humans(10))
    step = (
        "bad = xop.map('bad', records, lambda value: {}[len(value)])\n"
        "kept = xop.filter('next', bad, lambda value: True, 'no')\n"
        "written = xop.map_batch('last', kept, lambda b: b.outcome(b.items, kinds=b''))"
    )
    assert_bug(pipeline, own_worker(pipeline, tmp_path, step), "KeyError: ")


def assert_bug(pipeline: Pipeline, worker: Worker, says: str) -> None:
    """Assert that it ends with a line that says so, its traceback, and nothing committed."""
    assert worker.wait() == 1
    (line,) = [each for each in worker.output.splitlines() if "bug: " in each]
    assert f"bug: {says}" in line
    assert "Traceback" in worker.output
    assert "panic" not in worker.output
    assert not pipeline.read(pipeline.output).records
    assert not pipeline.read(pipeline.dead).records
    assert pipeline.committed() == {0: 0}


def test_what_a_filter_drops_is_counted_and_passed_and_written_nowhere(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    pipeline.create(partitions=1)
    step = "written = xop.filter('odd', records, lambda v: v != b'no', 'not_wanted', drop=True)"
    worker = own_worker(pipeline, tmp_path, step, HTTP="0")
    pipeline.send([(b"yes", None), (b"no", b"k"), (b"no", None)])
    pipeline.drained()
    assert [each.value() for each in pipeline.read(pipeline.output).records] == [b"yes"]
    assert not pipeline.read(pipeline.dead).records
    # All of them dropped, a transaction has offsets alone.
    pipeline.send([(b"no", None)] * 5)
    pipeline.drained()
    # The worker counts what Kafka has committed, a little later than Kafka knows it.
    consumed = f'domination_records_consumed_total{{topic="{pipeline.input}"}} 8.0'
    eventually(lambda: consumed in metrics(worker))
    told = metrics(worker)
    assert 'domination_records_dropped_total{reason="not_wanted"} 7.0' in told
    assert "domination_records_dead_lettered_total{" not in told
    assert worker.stop() == 0


def metrics(worker: Worker) -> str:
    """Read what a worker has counted."""
    found = re.search(r"(http://127\.0\.0\.1:\d+) has", worker.output)
    assert found
    with urlopen(f"{found[1]}/metrics", timeout=PATIENT_SECONDS) as answer:
        return str(answer.read(), "utf-8")


class Counts(Quiet):
    """Adds up what transactions held, and stops the workers after so many records."""

    def __init__(self, stop: StopEvent, most: int) -> None:
        self._stop = stop
        self._left = most
        self.dropped: dict[str, int] = {}
        self.rejects: dict[str, int] = {}

    def committed(self, committed: Committed) -> None:
        self.dropped |= committed.dropped
        self.rejects |= committed.rejects
        self._left -= committed.records
        if not self._left:
            self._stop.set()


def test_an_observer_of_the_library_hears_what_a_filter_has_dropped(pipeline: Pipeline) -> None:
    pipeline.create(partitions=1)
    pipeline.send([(b"yes", b"1"), (b"no", b"2"), (b"never", b"3"), (b"no", b"4")])
    stop = StopEvent()
    counts = Counts(stop, 4)
    ends = Ends(
        {"bootstrap.servers": pipeline.bootstrap_servers},
        Topics(pipeline.input, (pipeline.output,), pipeline.dead),
        pipeline.group,
        observer=lambda _worker_index: counts,
        stop=stop,
    )
    flow = Dataflow("library")
    records = op.input("records", flow, ends.source)
    wanted = xop.filter("wanted", records, lambda v: v != b"no", "not_wanted", drop=True)
    known = xop.filter("known", wanted, lambda v: v != b"never", "not_known")
    op.output("written", known, ends.sink)
    ends.run(flow)
    assert counts.dropped == {"not_wanted": 2}
    assert counts.rejects == {"not_known": 1}
    assert [each.key() for each in pipeline.read(pipeline.output).records] == [b"1"]
    assert [each.key() for each in pipeline.read(pipeline.dead).records] == [b"3"]
    assert pipeline.committed() == {0: 4}
