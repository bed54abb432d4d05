"""Where a worker reads on: behind markers, in a log that was cut back, and without offsets."""

from __future__ import annotations

import shutil
import signal
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import KafkaException, Producer, TopicPartition

from harness.processes import DOMINATION, HURT, PATIENT_SECONDS, eventually, run
from harness.records import humans

if TYPE_CHECKING:
    from pathlib import Path

    from harness.kafka_server import KafkaServer
    from harness.pipeline import Pipeline
    from harness.processes import Worker


def send_in_a_transaction(pipeline: Pipeline, count: int) -> None:
    """Send humans that a marker in each partition follows."""
    producer = Producer(
        {"bootstrap.servers": pipeline.bootstrap_servers, "transactional.id": pipeline.group}
    )
    producer.init_transactions(60)
    producer.begin_transaction()
    for value, key in humans(count):
        producer.produce(pipeline.input, value, key)
        pipeline.sent.append((value, key))
    producer.commit_transaction(60)
    eventually(lambda: marked(pipeline, count))


def marked(pipeline: Pipeline, count: int) -> bool:
    """Tell whether there are markers behind so many records: Kafka answers before it has them."""
    try:
        return sum(pipeline.ends(pipeline.input).values()) > count
    except KafkaException:
        return False  # A leader may not know yet that it is one.


def delete_all(pipeline: Pipeline) -> None:
    """Delete what stands in the input topic, as its retention would."""
    ends = [
        TopicPartition(pipeline.input, partition, end)
        for partition, end in pipeline.ends(pipeline.input).items()
    ]
    for deleted in pipeline.admin.delete_records(ends).values():
        deleted.result(PATIENT_SECONDS)


def forget_offsets(pipeline: Pipeline) -> None:
    """Let the group's offsets expire, as after a week without members."""
    eventually(lambda: pipeline.members() == 0)
    pipeline.admin.delete_consumer_groups([pipeline.group])[pipeline.group].result(PATIENT_SECONDS)


def lost_its_offsets(worker: Worker) -> bool:
    assert worker.wait() == 78
    return "has no committed offsets" in worker.output and "domination rewind" in worker.output


def test_markers_that_retention_takes_are_no_loss(pipeline: Pipeline) -> None:
    pipeline.create(partitions=2)
    worker = pipeline.worker()
    pipeline.started()
    send_in_a_transaction(pipeline, 200)
    # The last record is judged, and the marker behind it is passed.
    pipeline.drained()
    before = pipeline.anomalies()
    delete_all(pipeline)
    second = pipeline.worker()
    second.until("assigned")
    assert second.stop() == 0
    assert worker.stop() == 0
    again = pipeline.worker()
    again.until("assigned")
    pipeline.send(humans(100, seed=2))
    pipeline.drained()
    assert again.stop() == 0
    assert not any(before.values())
    assert len(pipeline.read(pipeline.output).records) == 300


def test_a_log_that_was_cut_back_ends_the_worker_with_78(
    own_kafka: KafkaServer, own_pipeline: Pipeline, tmp_path: Path
) -> None:
    own_pipeline.create(partitions=1)
    worker = own_pipeline.worker()
    own_pipeline.started()
    own_pipeline.send(humans(100))
    own_kafka.kill()
    log = own_kafka.log(own_pipeline.input, 0)
    shutil.copytree(log, tmp_path / "old")
    own_kafka.start()
    own_pipeline.send(humans(200, seed=2))
    own_pipeline.drained()
    assert worker.stop() == 0
    own_kafka.kill()
    shutil.rmtree(log)
    shutil.copytree(tmp_path / "old", log)
    own_kafka.start()
    # Offset 300 is a record's again, but another one's.
    own_pipeline.send(humans(400, seed=3))
    judged = len(own_pipeline.read(own_pipeline.output).records)
    again = own_pipeline.worker()
    assert again.wait() == 78
    assert "is gone" in again.output
    assert len(own_pipeline.read(own_pipeline.output).records) == judged == 300


def begin_again(pipeline: Pipeline) -> None:
    """Let a worker judge all that is in the topic."""
    rewound = (*DOMINATION, "rewind", "--to", "earliest", "--yes")
    assert run(*rewound, environment=pipeline.environment).returncode == 0
    worker = pipeline.worker()
    pipeline.drained()
    assert worker.stop() == 0


def test_offsets_of_a_topic_that_was_created_again_end_the_worker_with_78(
    pipeline: Pipeline,
) -> None:
    pipeline.create(partitions=1)
    worker = pipeline.worker()
    pipeline.send(humans(100))
    pipeline.drained()
    assert worker.stop() == 0
    places = pipeline.places()
    pipeline.remake_input(partitions=1)
    pipeline.send(humans(300, seed=2))
    # Kafka deletes them with the topic, but a worker that still runs may commit after that.
    eventually(lambda: not any(pipeline.committed().values()))
    pipeline.commit(places)
    again = pipeline.worker()
    assert again.wait() == 78
    assert f"topic {pipeline.input} was deleted and created again" in again.output
    assert len(pipeline.read(pipeline.output).records) == 100
    begin_again(pipeline)
    pipeline.exactly_once()


def test_a_group_whose_offsets_expired_ends_with_78_instead_of_judging_all_again(
    pipeline: Pipeline,
) -> None:
    pipeline.create()
    worker = pipeline.worker()
    pipeline.send(humans(300))
    pipeline.drained()
    assert worker.stop() == 0
    forget_offsets(pipeline)
    assert lost_its_offsets(pipeline.worker())
    checked = run(*DOMINATION, "check", "kafka", environment=pipeline.environment)
    assert checked.returncode == 78
    assert f"group {pipeline.group} has no committed offsets" in checked.stdout
    assert len(pipeline.read(pipeline.output).records) == 300
    begin_again(pipeline)
    assert len(pipeline.read(pipeline.output).records) == 600


def test_offsets_that_expired_while_only_dead_letters_were_written_are_noticed(
    pipeline: Pipeline,
) -> None:
    pipeline.create()
    worker = pipeline.worker()
    pipeline.send([(b"{", None)])
    pipeline.drained()
    assert worker.stop() == 0
    forget_offsets(pipeline)
    assert lost_its_offsets(pipeline.worker())


@pytest.mark.parametrize("point", ["during commit:1", "after produce:1", "during commit:2"])
def test_a_first_start_that_is_killed_is_no_loss_of_offsets(pipeline: Pipeline, point: str) -> None:
    pipeline.create()
    pipeline.send(humans(300))
    first = pipeline.worker(command=HURT, CHAOS_STOP_AT=f"{point}:{signal.SIGKILL:d}")
    assert first.wait() == -signal.SIGKILL
    second = pipeline.worker()
    pipeline.drained()
    assert second.stop() == 0
    pipeline.exactly_once()


def test_records_that_retention_takes_before_they_are_judged_are_missed(pipeline: Pipeline) -> None:
    pipeline.create(partitions=1)
    worker = pipeline.worker()
    pipeline.started()
    assert worker.stop() == 0
    # The group has committed the first offset, although it has read nothing yet.
    pipeline.send(humans(10))
    delete_all(pipeline)
    again = pipeline.worker()
    assert again.wait() == 78
    assert "is gone" in again.output
