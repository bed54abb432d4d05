"""Connections die without a word and links are slow: records flow again, and the lag is true."""

from __future__ import annotations

import base64
import random
import re
import time
from contextlib import closing
from typing import TYPE_CHECKING
from urllib.request import urlopen

import pytest

from harness.kafka_proxy import KafkaProxy
from harness.processes import PATIENT_SECONDS, eventually
from harness.records import humans
from harness.together import waits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.pipeline import Pipeline, Sent
    from harness.processes import Worker

SECONDS = 50
"""A connection is given up after 10; a consumer left to itself gives it up after 60."""


def started(pipeline: Pipeline, proxy: KafkaProxy) -> Worker:
    """Start a worker behind the proxy, and let it come to rest."""
    pipeline.create()
    worker = pipeline.worker(KAFKA_BOOTSTRAP_SERVERS=proxy.address, HTTP="0")
    pipeline.send(humans(500))
    pipeline.drained()
    return worker


def lag(worker: Worker) -> float:
    """Give the lag of all partitions as the worker tells it."""
    found = re.search(r"(http://127\.0\.0\.1:\d+) has", worker.output)
    assert found
    with urlopen(f"{found[1]}/metrics", timeout=PATIENT_SECONDS) as answer:
        lines = answer.read().decode().splitlines()
    told = [line for line in lines if line.startswith("domination_consumer_lag_records{")]
    return sum(float(line.rpartition(" ")[2]) for line in told)


@waits
def test_a_fetch_connection_that_falls_silent_is_replaced_and_the_lag_is_true_meanwhile(
    pipeline: Pipeline, proxy: KafkaProxy
) -> None:
    worker = started(pipeline, proxy)
    eventually(lambda: lag(worker) == 0)
    proxy.hold("Fetch", "silence").wait()
    silent = time.monotonic()
    others = proxy.stall_all("Fetch")
    pipeline.send(humans(500, seed=2))
    eventually(lambda: lag(worker) == 500)
    others.wait()  # Of the connection that replaces the silent one.
    assert time.monotonic() - silent < SECONDS
    others.release()
    pipeline.drained()
    eventually(lambda: lag(worker) == 0)
    assert worker.stop() == 0
    pipeline.exactly_once()


@waits
@pytest.mark.parametrize("loaded", [False, True], ids=["idle", "loaded"])
def test_connections_that_all_fall_silent_at_once_are_replaced(
    pipeline: Pipeline, proxy: KafkaProxy, *, loaded: bool
) -> None:
    worker = started(pipeline, proxy)
    if loaded:
        pipeline.send(humans(100, seed=2))
        proxy.answered("Produce")
    proxy.forget()
    silent = time.monotonic()
    pipeline.send(humans(500, seed=3))
    pipeline.drained()
    assert time.monotonic() - silent < SECONDS
    assert worker.stop() == 0
    pipeline.exactly_once()


def large(count: int) -> Iterator[Sent]:
    """Give ratings of a kilobyte that cannot be compressed."""
    chance = random.Random(1)
    for _ in range(count):
        human = base64.b64encode(chance.randbytes(700))
        yield b'{"rating":3,"unique_id":"%b"}' % human, None


@waits
def test_a_downlink_that_is_too_slow_for_a_usual_fetch_makes_progress(pipeline: Pipeline) -> None:
    pipeline.create(partitions=1)
    pipeline.send(large(200))
    # The answer takes some eight seconds, the client's look for late ones a second at most.
    with closing(KafkaProxy(pipeline.bootstrap_servers, down_bytes_a_second=25_000)) as slow:
        environment = {"KAFKA_SOCKET_TIMEOUT_MS": "2000"}
        worker = pipeline.worker(KAFKA_BOOTSTRAP_SERVERS=slow.address, **environment)
        pipeline.drained()
        assert worker.stop() == 0
    assert worker.output.count("a fetch of 250,000 bytes may now take 60 s") == 1
    pipeline.exactly_once()
