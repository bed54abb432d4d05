"""Exactly once through kills, freezes, rebalances and brokers that come and go."""

from __future__ import annotations

import random
import signal
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from harness.processes import HURT, PATIENT_SECONDS
from harness.records import humans

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from harness.kafka_server import KafkaServer
    from harness.pipeline import Pipeline
    from harness.processes import Worker

RATE = 2_000


@contextmanager
def ratings_flow(pipeline: Pipeline, count: int) -> Iterator[Callable[[], bool]]:
    """Send humans at a steady rate while the block runs; wait for the last one at its end."""
    sender = threading.Thread(target=pipeline.send, args=(humans(count), RATE), daemon=True)
    sender.start()
    yield sender.is_alive
    sender.join(PATIENT_SECONDS)
    assert not sender.is_alive()


def finish(pipeline: Pipeline, *workers: Worker) -> None:
    """See everything through and hold it against the oracle."""
    for worker in workers:
        worker.until("kafka ")
    pipeline.drained()
    assert [worker.stop() for worker in workers] == [0] * len(workers)
    pipeline.exactly_once()


@pytest.fixture
def own_worker(own_pipeline: Pipeline) -> Worker:
    """Give a worker with its partitions on a Kafka that may be broken."""
    worker = own_pipeline.create().worker()
    worker.until("assigned")
    return worker


@pytest.mark.parametrize("threads", ["1", "2"])
def test_workers_killed_at_random_moments_lose_nothing_and_repeat_nothing(
    pipeline: Pipeline, threads: str
) -> None:
    pipeline.create()
    chance = random.Random(7)
    workers = [pipeline.worker("-w", threads) for _ in range(2)]
    workers[1].until("assigned")
    kills = 0
    with ratings_flow(pipeline, 16_000) as flowing:
        while flowing():
            time.sleep(chance.uniform(0.3, 1.5))
            victim = chance.randrange(2)
            workers[victim].kill()
            kills += 1
            workers[victim] = pipeline.worker("-w", threads)
    assert kills >= 4
    finish(pipeline, *workers)


def test_a_rebalance_storm_loses_nothing_and_repeats_nothing(pipeline: Pipeline) -> None:
    pipeline.create()
    workers = [pipeline.worker() for _ in range(2)]
    workers[1].until("assigned")
    with ratings_flow(pipeline, 16_000) as flowing:
        while flowing():
            third = pipeline.worker()
            third.until("assigned")
            time.sleep(1)
            assert third.stop() == 0
            time.sleep(1)
    finish(pipeline, *workers)


@pytest.mark.parametrize(
    "protocol",
    [{"KAFKA_PARTITION_ASSIGNMENT_STRATEGY": "range"}, {"KAFKA_GROUP_PROTOCOL": "consumer"}],
    ids=["eager", "consumer"],
)
def test_other_protocols_of_the_group_are_as_safe_as_the_cooperative(
    pipeline: Pipeline, protocol: dict[str, str]
) -> None:
    pipeline.create()
    worker = pipeline.worker(**protocol)
    worker.until("assigned")
    with ratings_flow(pipeline, 8_000) as flowing:
        while flowing():
            second = pipeline.worker(**protocol)
            second.until("assigned")
            assert second.stop() == 0
    finish(pipeline, worker)


def test_an_assignment_that_changes_before_it_is_taken_up_is_read_by_its_owner_alone(
    pipeline: Pipeline,
) -> None:
    pipeline.create()
    eager = {
        "KAFKA_PARTITION_ASSIGNMENT_STRATEGY": "range",
        "KAFKA_TOPIC_METADATA_REFRESH_INTERVAL_MS": "500",
    }
    first = pipeline.worker(**eager)
    first.until("assigned")
    # While it hangs it is given partitions, and then others: of the first it is told no revocation.
    second = pipeline.worker(command=HURT, CHAOS_STOP_AT="before renewing:1:-6", **eager)
    first.until("revoked")
    pipeline.add_partitions(5)
    second.until("assigned")
    pipeline.send(humans(4_000))
    finish(pipeline, first, second)


def test_partitions_added_while_it_runs_are_read_from_their_beginning(pipeline: Pipeline) -> None:
    pipeline.create(partitions=2)
    worker = pipeline.worker(KAFKA_TOPIC_METADATA_REFRESH_INTERVAL_MS="500")
    worker.until("assigned")
    pipeline.send(humans(2_000))
    pipeline.add_partitions(6)
    pipeline.send(humans(4_000, seed=2, keys=500))
    pipeline.drained()
    assert worker.stop() == 0
    # A key may move to another partition when partitions are added: that is Kafka's own doing.
    found = {name for name, each in pipeline.anomalies().items() if each}
    assert found <= {"out of order"}
    assert len({each.partition() for each in pipeline.read(pipeline.input).records}) == 6


def test_a_topic_made_again_ends_the_worker_with_78_and_none_of_it_is_skipped(
    pipeline: Pipeline,
) -> None:
    pipeline.create(partitions=1)
    worker = pipeline.worker()
    worker.until("assigned")
    pipeline.send(humans(500))
    pipeline.drained()
    pipeline.remake_input(partitions=1)
    assert worker.wait() == 78
    # Whatever it sees first.
    ends = ("is gone", "is missing", "was deleted and created again")
    assert any(end in worker.output for end in ends)
    pipeline.send(humans(2_000, seed=2))
    # The new topic has no committed offsets, but its old life has left shadows.
    lost = pipeline.worker()
    assert lost.wait() == 78
    assert "has no committed offsets" in lost.output
    pipeline.reset_offsets()
    again = pipeline.worker()
    pipeline.drained()
    assert again.stop() == 0
    pipeline.exactly_once()


def test_a_topic_made_again_and_filled_while_nobody_looks_ends_the_worker_with_78(
    pipeline: Pipeline,
) -> None:
    pipeline.create(partitions=1)
    worker = pipeline.worker()
    pipeline.send(humans(500))
    pipeline.drained()
    worker.process.send_signal(signal.SIGSTOP)
    pipeline.remake_input(partitions=1)
    pipeline.send(humans(2_000, seed=2))
    # Its client reads on in the new topic, and tells nothing of it.
    worker.process.send_signal(signal.SIGCONT)
    assert worker.wait() == 78
    assert f"topic {pipeline.input} was deleted and created again" in worker.output
    # Also where it had committed an offset of the new topic before it knew.
    assert pipeline.worker().wait() == 78
    pipeline.reset_offsets()
    again = pipeline.worker()
    pipeline.drained()
    assert again.stop() == 0
    assert not pipeline.anomalies()["lost"]


def test_a_frozen_worker_writes_nothing_once_another_has_its_partitions(pipeline: Pipeline) -> None:
    pipeline.create()
    workers = [pipeline.worker(KAFKA_SESSION_TIMEOUT_MS="6000") for _ in range(2)]
    for worker in workers:
        worker.until("assigned")
    with ratings_flow(pipeline, 6_000):
        workers[0].process.send_signal(signal.SIGSTOP)
    pipeline.drained()
    workers[0].process.send_signal(signal.SIGCONT)
    pipeline.send(humans(2_000, seed=2))
    # It was asleep with a transaction open and is fenced, or with none and joins again.
    pipeline.drained()
    pipeline.exactly_once()


def test_a_broker_killed_and_started_again_is_waited_for(
    own_kafka: KafkaServer, own_pipeline: Pipeline, own_worker: Worker
) -> None:
    with ratings_flow(own_pipeline, 16_000):
        for _ in range(2):
            time.sleep(1.5)
            own_kafka.kill()
            own_kafka.start()
    finish(own_pipeline, own_worker)
    assert "Traceback" not in own_worker.output


def test_a_broker_frozen_past_every_call_is_waited_for(
    own_kafka: KafkaServer, own_pipeline: Pipeline, own_worker: Worker
) -> None:
    with ratings_flow(own_pipeline, 10_000):
        time.sleep(1)
        own_kafka.send_signal(signal.SIGSTOP)
        time.sleep(5)
        own_kafka.send_signal(signal.SIGCONT)
    finish(own_pipeline, own_worker)


def test_a_broker_that_stutters_through_rebalances_is_waited_for(
    own_kafka: KafkaServer, own_pipeline: Pipeline, own_worker: Worker
) -> None:
    with ratings_flow(own_pipeline, 8_000) as flowing:
        while flowing():
            other = own_pipeline.worker()
            for _ in range(6):
                time.sleep(0.2)
                own_kafka.send_signal(signal.SIGSTOP)
                time.sleep(0.4)
                own_kafka.send_signal(signal.SIGCONT)
            assert other.stop() == 0
    finish(own_pipeline, own_worker)


def test_a_broker_absent_at_the_start_is_waited_for(
    own_kafka: KafkaServer, own_pipeline: Pipeline
) -> None:
    own_pipeline.create()
    own_pipeline.send(humans(500))
    own_kafka.kill()
    worker = own_pipeline.worker()
    worker.until("no broker at")
    own_kafka.start()
    finish(own_pipeline, worker)


def test_without_a_broker_it_ends_with_69_after_the_availability_timeout(
    own_kafka: KafkaServer, own_pipeline: Pipeline
) -> None:
    own_pipeline.create()
    worker = own_pipeline.worker(AVAILABILITY_TIMEOUT_SECONDS="3")
    worker.until("assigned")
    own_pipeline.send(humans(500))
    own_pipeline.drained()
    own_kafka.kill()
    never = own_pipeline.worker(AVAILABILITY_TIMEOUT_SECONDS="2")
    assert never.wait() == 69
    told = never.output.partition("ERROR")[2].splitlines()[0]
    assert "gave up after 2 s" in told
    assert told.count("no broker at") == told.count("start Kafka") == 1
    assert worker.wait() == 69
    assert "Traceback" not in worker.output
    # Without a broker librdkafka says the same twenty times a second, in these three seconds too.
    assert len(worker.output.splitlines()) < 50


def test_a_second_signal_ends_at_once_although_the_broker_does_not_answer(
    own_kafka: KafkaServer, own_pipeline: Pipeline, own_worker: Worker
) -> None:
    own_pipeline.send(humans(500))
    own_pipeline.drained()
    own_kafka.send_signal(signal.SIGSTOP)
    own_worker.process.send_signal(signal.SIGTERM)
    own_worker.until("draining")
    started = time.monotonic()
    own_worker.process.send_signal(signal.SIGTERM)
    assert own_worker.wait() in (0, 143)
    # Without it the worker would try for 120 s.
    assert time.monotonic() - started < 60
