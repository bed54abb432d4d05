"""What meets a replay on a real Kafka: transactions of others, a small queue, a signal, a topic."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import Producer

from domination import connection
from domination.dead_letters import DeadLetterTopic
from domination.errors import DominationError, Exit
from domination.kafka.cluster import Cluster
from domination.settings import from_environment
from harness.kafka_proxy import KafkaProxy
from harness.letters import command, good, lay, sent_back
from harness.processes import DOMINATION, eventually

if TYPE_CHECKING:
    from harness.pipeline import Pipeline


def open_behind(pipeline: Pipeline) -> Producer:
    """Open a transaction in each partition of the dead letters, as a worker that was killed has."""
    config = {"bootstrap.servers": pipeline.bootstrap_servers, "transactional.id": pipeline.dead}
    producer = Producer(config)
    producer.init_transactions(120)
    producer.begin_transaction()
    for place in pipeline.partitions(pipeline.dead):
        producer.produce(pipeline.dead, b"open", partition=place.partition)
    assert producer.flush(120) == 0
    return producer


def test_marks_behind_an_open_transaction_are_waited_for(pipeline: Pipeline) -> None:
    pipeline.create()
    lay(pipeline, good(5))
    topic = DeadLetterTopic(from_environment(pipeline.environment))
    producer = open_behind(pipeline)
    with ThreadPoolExecutor() as pool:
        first = pool.submit(lambda: sum(topic.replay()))
        producer.abort_transaction(120)
        assert first.result() == 5
    assert sum(topic.replay()) == 0
    assert sent_back(pipeline) == sorted(good(5), key=str)


def test_a_transaction_that_stays_open_is_named_and_nothing_is_sent(pipeline: Pipeline) -> None:
    pipeline.create()
    lay(pipeline, good(5))
    producer = open_behind(pipeline)
    settings = from_environment(pipeline.environment)
    impatient = DeadLetterTopic(settings, patience=0.5)
    for read in (impatient.replay, impatient.open):
        with pytest.raises(DominationError, match=f"transaction in topic {pipeline.dead}") as ended:
            list(read())
        assert ended.value.exit_code == Exit.TEMPORARY
    producer.abort_transaction(120)
    assert sent_back(pipeline) == []
    assert sum(DeadLetterTopic(settings).replay()) == 5


def test_a_queue_that_is_full_is_waited_for(pipeline: Pipeline) -> None:
    pipeline.create()
    lay(pipeline, good(1200))
    pipeline.environment["DOMINATION_KAFKA_QUEUE_BUFFERING_MAX_MESSAGES"] = "100"
    assert "1,200 sent back" in command(pipeline, "replay", "--yes")
    assert sent_back(pipeline) == sorted(good(1200), key=str)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_replay_that_is_ended_aborts_its_transaction(
    pipeline: Pipeline, number: signal.Signals
) -> None:
    pipeline.create()
    lay(pipeline, good(5))
    with closing(KafkaProxy(pipeline.bootstrap_servers)) as proxy:
        held = proxy.stall("Produce")
        replay = pipeline.worker(
            *("dead-letters", "replay", "--yes"),
            command=DOMINATION,
            KAFKA_BOOTSTRAP_SERVERS=proxy.address,
        )
        held.wait()
        replay.process.send_signal(number)
        replay.until("draining")
        held.release()
        assert replay.wait() == Exit.TEMPORARY
        assert proxy.answered("EndTxn").committed is False
    assert "still open; start it again" in replay.output
    assert "5 sent back" in command(pipeline, "replay", "--yes")
    assert sent_back(pipeline) == sorted(good(5), key=str)


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_a_replay_that_fails_aborts_its_transaction(
    pipeline: Pipeline, error: type[BaseException]
) -> None:
    pipeline.create()
    lay(pipeline, good(5))
    left = iter(range(5))  # It asks once a letter, and again when all are at the broker.

    def going() -> bool:
        if next(left, None) is None:
            raise error
        return True

    settings = from_environment(pipeline.environment)
    with closing(KafkaProxy(pipeline.bootstrap_servers)) as proxy:
        behind = replace(settings, bootstrap_servers=proxy.address)
        with pytest.raises(error):
            list(DeadLetterTopic(behind).replay(going=going))
        # By itself; Kafka would do it after 10 s.
        assert proxy.answered("EndTxn").committed is False
    cluster = Cluster(connection.of(settings))
    places = pipeline.partitions(pipeline.dead)
    assert sum(cluster.end_offsets(places).values()) > 10, "nothing was at the broker"
    eventually(lambda: cluster.stable_offsets(places) == cluster.end_offsets(places))
    assert sum(DeadLetterTopic(settings).replay()) == 5


def test_a_compacted_topic_is_refused_before_anything_is_sent(pipeline: Pipeline) -> None:
    pipeline.create()
    lay(pipeline, good(5))
    pipeline.configure(pipeline.dead, "cleanup.policy", "compact")
    (line,) = command(pipeline, "replay", "--yes", code=78).splitlines()
    assert f"topic {pipeline.dead} is compacted" in line
    assert sent_back(pipeline) == []


def test_letters_go_into_a_topic_of_small_records(pipeline: Pipeline) -> None:
    pipeline.create(source={"max.message.bytes": "1000"})
    large = b'{"rating":3,"unique_id":"%b"}' % b"".join(b"%d," % n for n in range(500))
    lay(pipeline, [*good(200), large])
    told = command(pipeline, "replay", "--yes")
    assert f"1 skipped: too large for {pipeline.input}" in told
    assert "200 sent back" in told
    assert sent_back(pipeline) == sorted(good(200), key=str)
