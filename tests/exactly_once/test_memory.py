"""What a worker holds in memory is bounded in bytes, whatever stands in the topic."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from confluent_kafka import Producer, TopicPartition

from domination.exactly_once.oversized import end_of_batch
from domination.kafka.client import Connection
from domination.letter import FORM
from domination.ratings import Reason
from harness.processes import DOMINATION, HURT, PATIENT_SECONDS, ROOT, run
from harness.records import humans

if TYPE_CHECKING:
    from collections.abc import Sequence

    from domination.exactly_once.dead_letter import DeadLetter
    from harness.pipeline import Pipeline
    from harness.processes import Worker

MANIFEST: Final = (ROOT / "deploy" / "kubernetes" / "worker.yaml").read_text()
ALLOWED: Final = int(re.findall(r"limits: { memory: (\d+)Mi }", MANIFEST)[0])
"""The MiB of the manifest."""
LARGE: Final = {"max.message.bytes": "20000000"}
"""Of a topic that takes records of 15 MB."""
BATCH: Final[dict[str, Any]] = {
    "message.max.bytes": 1_000_000_000,
    "batch.size": 1_000_000_000,
    "queue.buffering.max.kbytes": 2_000_000,
    "linger.ms": 60_000,
}
"""All that is sent at once is one batch."""


def peak(worker: Worker) -> int:
    """Give the most memory that it has had so far, in MiB."""
    lines = Path(f"/proc/{worker.process.pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) // 1024


def send_at_once(pipeline: Pipeline, values: Sequence[bytes], compression: str = "none") -> None:
    """Send values as one batch."""
    own = {"bootstrap.servers": pipeline.bootstrap_servers, "compression.type": compression}
    producer = Producer(BATCH | own)
    # Else records wait for their partition to be known, and are not all there when it is sent.
    producer.list_topics(pipeline.input, timeout=PATIENT_SECONDS)
    for value in values:
        producer.produce(pipeline.input, value)
    assert producer.flush(PATIENT_SECONDS) == 0


def letters(pipeline: Pipeline) -> list[DeadLetter]:
    """Read the dead letters' headers."""
    found = [each.headers() or [] for each in pipeline.read(pipeline.dead).records]
    return [letter for each in found if (letter := FORM.read(list(each)))]  # type: ignore[arg-type]


def test_large_records_are_held_few_at_a_time(pipeline: Pipeline) -> None:
    pipeline.create(partitions=1, source=LARGE)
    # More than the manifest allows.
    for _ in range(40):
        send_at_once(pipeline, [b"x" * 15_000_000])
    worker = pipeline.worker()
    pipeline.drained()
    assert peak(worker) < ALLOWED
    assert worker.stop() == 0
    assert len(pipeline.read(pipeline.dead).records) == 40


def test_the_largest_batches_that_are_read_fit_into_the_manifest(pipeline: Pipeline) -> None:
    pipeline.create(partitions=1)
    for _ in range(2):
        send_at_once(pipeline, [b'{"rating":1,"unique_id":"%b"}' % (b"x" * 60_000_000)], "lz4")
    worker = pipeline.worker()
    pipeline.drained()
    assert peak(worker) < ALLOWED
    assert worker.stop() == 0
    assert {each.reason for each in letters(pipeline)} == {Reason.SHADOW_TOO_LARGE}


@pytest.mark.parametrize("values", [[b" " * 100_000_000], [b"x" * 1_000_000] * 900], ids=len)
def test_a_batch_that_grows_too_large_becomes_dead_letters_and_stops_nothing(
    pipeline: Pipeline, values: list[bytes]
) -> None:
    pipeline.create(partitions=1)
    pipeline.send(humans(10))
    send_at_once(pipeline, values, "zstd")
    pipeline.send(humans(10))
    worker = pipeline.worker()
    pipeline.drained()
    assert peak(worker) < ALLOWED
    assert worker.stop() == 0
    assert len(pipeline.read(pipeline.output).records) == 20
    found = letters(pipeline)
    assert {(each.reason, each.truncated) for each in found} == {(Reason.BATCH_TOO_LARGE, True)}
    offsets = sorted(each.origin.offset for each in found)
    assert offsets == list(range(10, 10 + len(values)))
    assert f"{pipeline.input} [0]: offsets 10 to " in worker.output


def test_an_aborted_transaction_repeats_no_dead_letter_of_a_batch_too_large(
    pipeline: Pipeline,
) -> None:
    pipeline.create(partitions=1)
    # More than a poll takes.
    send_at_once(pipeline, [b" " * 15_000] * 7_000, "zstd")
    worker = pipeline.worker(command=HURT, CHAOS_ABORT_AT="2")
    pipeline.drained()
    assert worker.stop() == 0
    assert sorted(each.origin.offset for each in letters(pipeline)) == list(range(7_000))
    assert worker.output.count("become dead letters: their batch") > 3


@pytest.mark.parametrize("compression", ["zstd", "lz4", "gzip", "snappy"])
def test_a_batch_that_grows_within_the_limit_is_read(pipeline: Pipeline, compression: str) -> None:
    pipeline.create(partitions=1, source=LARGE)
    send_at_once(
        pipeline, [b'{"rating":3,"unique_id":"%d"}' % n for n in range(8_000)], compression
    )
    send_at_once(pipeline, [b" " * 1_000_000] * 20, compression)
    worker = pipeline.worker()
    pipeline.drained()
    assert peak(worker) < ALLOWED
    assert worker.stop() == 0
    assert len(pipeline.read(pipeline.output).records) == 8_000
    assert len(pipeline.read(pipeline.dead).records) == 20


def test_an_answer_too_large_ends_the_worker_with_78_its_place_and_the_setting(
    pipeline: Pipeline,
) -> None:
    pipeline.create(partitions=1, source=LARGE)
    pipeline.send(humans(10))
    send_at_once(pipeline, [os.urandom(6_000_000)])
    worker = pipeline.worker(KAFKA_RECEIVE_MESSAGE_MAX_BYTES="5000000")
    assert worker.wait() == 78
    said = worker.output.splitlines()
    (error,) = [line for line in said if "ERROR" in line]
    assert f"{pipeline.input} [0] at offset 10" in error
    assert "check DOMINATION_KAFKA_RECEIVE_MESSAGE_MAX_BYTES" in error
    assert pipeline.committed() == {0: 10}
    again = pipeline.worker()
    pipeline.drained()
    assert again.stop() == 0


def test_a_limit_below_what_the_client_fetches_by_itself_suits_the_commands(
    pipeline: Pipeline,
) -> None:
    pipeline.create(partitions=1)
    environment = {"DOMINATION_KAFKA_RECEIVE_MESSAGE_MAX_BYTES": "5000000"}
    for command in (["check", "kafka"], ["dead-letters", "list"]):
        found = run(*DOMINATION, *command, environment=pipeline.environment | environment)
        assert found.returncode == 0, found


def test_a_dead_letter_larger_than_the_producers_queue_is_sent(pipeline: Pipeline) -> None:
    pipeline.create(partitions=1)
    for topic in (pipeline.input, pipeline.dead):
        pipeline.configure(topic, "max.message.bytes", "80000000")
    send_at_once(pipeline, [b"x" * 70_000_000])
    worker = pipeline.worker(KAFKA_RECEIVE_MESSAGE_MAX_BYTES="100000000")
    pipeline.drained()
    assert worker.stop() == 0
    (letter,) = pipeline.read(pipeline.dead).records
    assert len(letter.value() or b"") == 70_000_000


@pytest.mark.parametrize("records", [1, 2, 3, 8, 100])
@pytest.mark.parametrize("behind", ["nothing", "a record", "a batch too large"])
def test_the_end_of_a_batch_too_large_is_found(
    pipeline: Pipeline, records: int, behind: str
) -> None:
    pipeline.create(partitions=1)
    pipeline.send(humans(3))
    send_at_once(pipeline, [b" " * (10_000_000 // records)] * records, "zstd")
    if behind == "a record":
        pipeline.send(humans(1))
    elif behind == "a batch too large":
        send_at_once(pipeline, [b" " * 10_000_000], "zstd")
    connection = Connection({"bootstrap.servers": pipeline.bootstrap_servers})
    first = TopicPartition(pipeline.input, 0, 3)
    assert end_of_batch(connection, first, pipeline.group, 5_000_000, 120) == 3 + records
