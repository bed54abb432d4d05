"""A broker that makes each topic it is asked for, Kafka's default, makes none for who only asks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from confluent_kafka.admin import AdminClient

from conftest import need
from harness import kafka_server
from harness.processes import DOMINATION, run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.pipeline import Pipeline


@pytest.fixture(scope="module")
def bootstrap_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the address of a Kafka that makes topics of itself."""
    need("Kafka", kafka_server.why_not())
    server = kafka_server.KafkaServer(
        tmp_path_factory.mktemp("kafka"), "auto.create.topics.enable=true\n"
    )
    server.start()
    yield server.bootstrap_servers
    server.kill()


@pytest.mark.parametrize(
    "command",
    [
        "check kafka",
        "worker",
        "produce --count 1",
        "dead-letters list",
        "dead-letters show 0:0",
        "dead-letters replay",
        "rewind --to earliest",
    ],
)
def test_who_only_asks_makes_no_topic_and_says_which_is_missing(
    command: str, pipeline: Pipeline
) -> None:
    ended = run(*DOMINATION, *command.split(), environment=pipeline.environment)
    assert _counts(pipeline) == {}
    said = ended.stdout + ended.stderr
    assert ended.returncode == 78, said
    assert f"no topic {pipeline.dead if 'letters' in command else pipeline.input}" in said


def test_topics_makes_them_with_as_many_partitions_as_it_is_told(pipeline: Pipeline) -> None:
    topics = (*DOMINATION, "topics", "--partitions", "12")
    made = run(*topics, environment=pipeline.environment)
    names = (pipeline.input, pipeline.output, pipeline.dead)
    assert made.stdout.splitlines() == [f"{name}: created, 12 partitions" for name in names]
    assert _counts(pipeline) == dict.fromkeys(names, 12)


def _counts(pipeline: Pipeline) -> dict[str, int]:
    """Count the partitions of each topic that is there, without asking for it by its name."""
    client = AdminClient({"bootstrap.servers": pipeline.bootstrap_servers, "log_level": 0})
    found = client.list_topics(timeout=120).topics
    names = (pipeline.input, pipeline.output, pipeline.dead)
    return {name: len(found[name].partitions) for name in names if name in found}
