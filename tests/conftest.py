"""Fixtures: a real Kafka for the session, one of its own for tests that break it, and pipelines."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

import kafka_server
from pipeline import Pipeline

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CI = bool(os.environ.get("CI"))

settings.register_profile("dev", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.register_profile(
    "soak", deadline=None, max_examples=5000, suppress_health_check=list(HealthCheck)
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if CI else "dev"))


def _need_kafka() -> None:
    if reason := kafka_server.why_not():
        if CI:
            pytest.fail(f"no Kafka in CI: {reason}")
        pytest.skip(reason)


@pytest.fixture(scope="session")
def bootstrap_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the address of a Kafka that all tests share."""
    if given := os.environ.get("DOMINATION_TEST_BOOTSTRAP_SERVERS"):
        yield given
        return
    _need_kafka()
    server = kafka_server.KafkaServer(tmp_path_factory.mktemp("kafka"))
    server.start()
    yield server.bootstrap_servers
    server.kill()


@pytest.fixture
def pipeline(bootstrap_servers: str, tmp_path: Path) -> Iterator[Pipeline]:
    """Give a pipeline on the shared Kafka."""
    made = Pipeline(bootstrap_servers, tmp_path)
    yield made
    made.end()


@pytest.fixture
def own_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[kafka_server.KafkaServer]:
    """Give a Kafka, not yet started, that a test may kill or freeze."""
    _need_kafka()
    server = kafka_server.KafkaServer(tmp_path_factory.mktemp("own-kafka"))
    yield server
    server.kill()


@pytest.fixture
def own_pipeline(own_kafka: kafka_server.KafkaServer, tmp_path: Path) -> Iterator[Pipeline]:
    """Give a pipeline on a Kafka of its own."""
    made = Pipeline(own_kafka.bootstrap_servers, tmp_path)
    yield made
    made.end()
