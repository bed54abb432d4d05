"""Exactly once through kills, freezes, rebalances and brokers that come and go."""

from __future__ import annotations

import random
import signal
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from pipeline import eventually
from records import humans

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kafka_server import KafkaServer
    from pipeline import Pipeline, Worker

RATE = 2_000


@contextmanager
def ratings_flow(pipeline: Pipeline, count: int) -> Iterator[Callable[[], bool]]:
    """Send humans at a steady rate while the block runs; wait for the last one at its end."""
    sender = threading.Thread(target=pipeline.send, args=(humans(count), RATE), daemon=True)
    sender.start()
    yield sender.is_alive
    sender.join(60)
    assert not sender.is_alive()


def finish(pipeline: Pipeline, *workers: Worker) -> None:
    """See everything through and hold it against the oracle."""
    for worker in workers:
        worker.until("kafka ")
    pipeline.drained()
    assert [worker.stop() for worker in workers] == [0] * len(workers)
    pipeline.exactly_once()


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


def test_the_eager_protocol_is_as_safe_as_the_cooperative(pipeline: Pipeline) -> None:
    pipeline.create()
    eager = {"KAFKA_PARTITION_ASSIGNMENT_STRATEGY": "range"}
    worker = pipeline.worker(**eager)
    worker.until("assigned")
    with ratings_flow(pipeline, 8_000) as flowing:
        while flowing():
            second = pipeline.worker(**eager)
            second.until("assigned")
            assert second.stop() == 0
    finish(pipeline, worker)


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
    own_kafka: KafkaServer, own_pipeline: Pipeline
) -> None:
    own_kafka.start()
    own_pipeline.create()
    worker = own_pipeline.worker()
    worker.until("assigned")
    with ratings_flow(own_pipeline, 16_000):
        for _ in range(2):
            time.sleep(1.5)
            own_kafka.kill()
            own_kafka.start()
    finish(own_pipeline, worker)
    assert "Traceback" not in worker.output


def test_a_broker_frozen_past_every_call_is_waited_for(
    own_kafka: KafkaServer, own_pipeline: Pipeline
) -> None:
    own_kafka.start()
    own_pipeline.create()
    worker = own_pipeline.worker()
    worker.until("assigned")
    with ratings_flow(own_pipeline, 10_000):
        time.sleep(1)
        own_kafka.send_signal(signal.SIGSTOP)
        time.sleep(5)
        own_kafka.send_signal(signal.SIGCONT)
    finish(own_pipeline, worker)


def test_a_broker_that_stutters_through_rebalances_is_waited_for(
    own_kafka: KafkaServer, own_pipeline: Pipeline
) -> None:
    own_kafka.start()
    own_pipeline.create()
    worker = own_pipeline.worker()
    worker.until("assigned")
    with ratings_flow(own_pipeline, 8_000) as flowing:
        while flowing():
            other = own_pipeline.worker()
            for _ in range(6):
                time.sleep(0.2)
                own_kafka.send_signal(signal.SIGSTOP)
                time.sleep(0.4)
                own_kafka.send_signal(signal.SIGCONT)
            assert other.stop() == 0
    finish(own_pipeline, worker)


def test_a_broker_absent_at_the_start_is_waited_for(
    own_kafka: KafkaServer, own_pipeline: Pipeline
) -> None:
    worker = own_pipeline.worker()
    worker.until("no broker at")
    own_kafka.start()
    own_pipeline.create()
    # The topics came later than the broker: that is an end with advice.
    if worker.process.poll() is None:
        eventually(lambda: worker.process.poll() is not None or "assigned" in worker.output)
    worker = own_pipeline.worker() if worker.process.poll() is not None else worker
    own_pipeline.send(humans(500))
    finish(own_pipeline, worker)


def test_without_a_broker_it_ends_with_69_after_the_availability_timeout(
    own_kafka: KafkaServer, own_pipeline: Pipeline
) -> None:
    never = own_pipeline.worker(AVAILABILITY_TIMEOUT_SECONDS="2")
    assert never.wait() == 69
    assert "no broker at" in never.output
    own_kafka.start()
    own_pipeline.create()
    worker = own_pipeline.worker(AVAILABILITY_TIMEOUT_SECONDS="3")
    worker.until("assigned")
    own_pipeline.send(humans(500))
    own_pipeline.drained()
    own_kafka.kill()
    assert worker.wait(60) == 69
    assert "Traceback" not in worker.output
    # Without a broker librdkafka says the same twenty times a second.
    assert len(worker.output.splitlines()) < 30


def test_a_second_signal_ends_at_once_although_the_broker_does_not_answer(
    own_kafka: KafkaServer, own_pipeline: Pipeline
) -> None:
    own_kafka.start()
    own_pipeline.create()
    worker = own_pipeline.worker()
    worker.until("assigned")
    own_pipeline.send(humans(500))
    own_pipeline.drained()
    own_kafka.send_signal(signal.SIGSTOP)
    worker.process.send_signal(signal.SIGTERM)
    worker.until("draining")
    started = time.monotonic()
    worker.process.send_signal(signal.SIGTERM)
    assert worker.wait() in (0, 143)
    assert time.monotonic() - started < 5
