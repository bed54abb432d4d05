"""The timestamps of records, which the library carries over."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Final

from confluent_kafka import Producer

if TYPE_CHECKING:
    from harness.pipeline import Pipeline
    from harness.processes import Worker

TIMED: Final = """
import sys
import bytewax.operators as op
from bytewax.dataflow import Dataflow
from domination.exactly_once.ends import Ends
from domination.exactly_once.options import Topics

servers, read, write, dead_letters, group = sys.argv[1:]
ends = Ends({{"bootstrap.servers": servers}}, Topics(read, (write,), dead_letters), group)
flow = Dataflow("timed")
batches = op.input("records", flow, ends.source)
values = op.map("values", batches, lambda batch: {outcome})
op.output("out", values, ends.sink)
ends.run(flow)
"""


def test_a_topic_may_refuse_a_carried_timestamp_and_takes_the_time_of_writing(
    pipeline: Pipeline,
) -> None:
    pipeline.create(output={"message.timestamp.before.max.ms": "60000"})
    an_hour_ago = int(time.time() * 1000) - 3_600_000
    producer = Producer({"bootstrap.servers": pipeline.bootstrap_servers})
    producer.produce(pipeline.input, b"old", timestamp=an_hour_ago)
    assert producer.flush(30) == 0
    arguments = pipeline.bootstrap_servers, pipeline.input, pipeline.output, pipeline.dead

    def started(outcome: str) -> Worker:
        command = (sys.executable, "-c", TIMED.format(outcome=outcome))
        return pipeline.worker(*arguments, pipeline.group, command=command)

    carried = started("batch")
    assert carried.wait() == 1
    assert "UnwritableError: a topic refuses a record" in carried.output
    assert "message.timestamp" in carried.output
    assert pipeline.read(pipeline.output).records == []
    started("batch.outcome(batch.items, timestamps=[0] * len(batch.items))")
    pipeline.drained()
    (record,) = pipeline.read(pipeline.output).records
    assert record.timestamp()[1] > an_hour_ago + 3_000_000
