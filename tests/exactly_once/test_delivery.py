"""The contract on a real Kafka: every rating exactly once, as a shadow or as a dead letter."""

from __future__ import annotations

import signal
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from itertools import takewhile
from typing import TYPE_CHECKING

import orjson
import pytest
from confluent_kafka import Consumer, Producer

from domination import connection
from domination.exactly_once.batch import Fault, Records
from domination.exactly_once.ports import CallError
from domination.exactly_once.rule import Failure, Position
from domination.exactly_once.same_topic import Proof
from domination.exactly_once.target import Target
from domination.exactly_once.writer import KafkaWriter
from domination.kafka.faults import NO_RIGHTS
from domination.letter import FORM
from domination.settings import from_environment
from harness import foreign
from harness.kafka_server import free_ports
from harness.processes import BYTEWAX, WORKER, eventually
from harness.records import BAD, SECRET, humans, mixed

if TYPE_CHECKING:
    from harness.pipeline import Pipeline


@pytest.mark.parametrize(
    ("command", "arguments", "processes"),
    [
        pytest.param(BYTEWAX, (), 1, id="bytewax"),
        pytest.param(WORKER, ("-l", "info", "-w", "2"), 1, id="two-workers"),
        pytest.param(WORKER, (), 2, id="two-processes"),
    ],
)
def test_every_record_leaves_once_as_a_shadow_or_as_a_dead_letter(
    pipeline: Pipeline, command: tuple[str, ...], arguments: tuple[str, ...], processes: int
) -> None:
    pipeline.create()
    pipeline.send(mixed(50_000))
    workers = [pipeline.worker(*arguments, command=command) for _ in range(processes)]
    pipeline.drained()
    assert [worker.stop() for worker in workers] == [0] * processes
    pipeline.exactly_once(BAD)
    assert SECRET not in pipeline.outputs()


def test_a_bytewax_cluster_is_as_exact(pipeline: Pipeline) -> None:
    pipeline.create()
    pipeline.send(mixed(5_000))
    addresses = ";".join(f"127.0.0.1:{port}" for port in free_ports(2))
    cluster = [pipeline.worker("-i", str(place), "-a", addresses) for place in range(2)]
    pipeline.drained()
    eventually(lambda: pipeline.members() == 2)
    for worker in cluster:
        worker.process.send_signal(signal.SIGTERM)
    assert [worker.wait() for worker in cluster] == [0, 0]
    pipeline.exactly_once(BAD)


def test_the_key_goes_along_and_the_stamp_is_now(pipeline: Pipeline) -> None:
    pipeline.create(partitions=1)
    pipeline.send([(b'{"rating":15,"unique_id":"x"}', b"a key")])
    began = utc_now()
    worker = pipeline.worker()
    pipeline.drained()
    assert worker.stop() == 0
    (record,) = pipeline.read(pipeline.output).records
    shadow = orjson.loads(record.value() or b"")
    assert record.key() == b"a key"
    assert (shadow["type"], shadow["unique_id"]) == (3, "x")
    assert began <= shadow["emit_timestamp"] <= utc_now()


def utc_now() -> str:
    """Give the time as a shadow has it."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]


def test_a_shadow_carries_the_headers_and_the_timestamp_of_its_rating(pipeline: Pipeline) -> None:
    pipeline.create(partitions=1, outputs=1)
    producer = Producer({"bootstrap.servers": pipeline.bootstrap_servers})
    rating = b'{"rating":3,"unique_id":"x"}'
    headers: list[tuple[str, str | bytes | None]] = [("traceparent", b"00-1-2-01"), ("none", None)]
    for own, made in ((headers, 1_700_000_000_000), ([], 1_700_000_000_001)):
        producer.produce(pipeline.input, rating, b"key", headers=own, timestamp=made)
        producer.produce(pipeline.input, b"{", b"key", headers=own, timestamp=made)
    assert producer.flush(30) == 0
    worker = pipeline.worker()
    pipeline.drained()
    assert worker.stop() == 0
    shadows = pipeline.read(pipeline.output).records
    assert [(each.headers(), each.timestamp()[1]) for each in shadows] == [
        (headers, 1_700_000_000_000),
        (None, 1_700_000_000_001),
    ]


def test_a_shadow_leaves_out_headers_that_the_client_cannot_read_and_no_others(
    pipeline: Pipeline,
) -> None:
    pipeline.create(partitions=1, outputs=1)
    names = [[b"a"], [b"a", b"\xff"], [b"\xff"], [b"b"]]
    for number, own in enumerate(names):
        # Of each the shadow, and then the dead letter, which has its headers read as well.
        for value in (b'{"rating":3,"unique_id":"%d"}' % number, b"{"):
            headers = [(name, b"1") for name in own]
            foreign.send(pipeline.bootstrap_servers, pipeline.input, value, b"key", headers)
    worker = pipeline.worker()
    pipeline.drained()
    assert worker.stop() == 0
    shadows = pipeline.read(pipeline.output).records
    assert [each.headers() for each in shadows] == [[("a", b"1")], None, None, [("b", b"1")]]
    carried = [list(each.headers() or []) for each in pipeline.read(pipeline.dead).records]
    assert sorted(str(each[0][0]) for each in carried) == [
        *("a", "b", "domination.error.reason", "domination.error.reason")
    ]


def test_a_full_producer_queue_only_slows_the_worker_down(pipeline: Pipeline) -> None:
    pipeline.create()
    pipeline.send(mixed(10_000, each_bad=20))
    worker = pipeline.worker(KAFKA_QUEUE_BUFFERING_MAX_MESSAGES="50")
    pipeline.drained()
    assert worker.stop() == 0
    pipeline.exactly_once(BAD)


def test_aborted_ratings_of_a_transactional_producer_are_never_judged(pipeline: Pipeline) -> None:
    pipeline.create(partitions=1)
    config = {"bootstrap.servers": pipeline.bootstrap_servers, "transactional.id": pipeline.group}
    producer = Producer(config)
    producer.init_transactions(60)
    for number in range(6):
        producer.begin_transaction()
        unique_id = b"%d" % number
        producer.produce(pipeline.input, b'{"rating":1,"unique_id":"%b"}' % unique_id)
        producer.flush()
        if number % 2:
            producer.abort_transaction(60)
        else:
            producer.commit_transaction(60)
    worker = pipeline.worker()
    eventually(lambda: len(pipeline.read(pipeline.output).records) == 3)
    assert worker.stop() == 0
    seen = [row["unique_id"] for row in pipeline.read(pipeline.output).values()]
    assert sorted(seen) == ["0", "2", "4"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_commits_leaves_the_group_and_ends_with_0(
    pipeline: Pipeline, number: signal.Signals
) -> None:
    pipeline.create()
    worker = pipeline.worker("-w", "2")
    worker.until("worker-1: assigned")
    pipeline.send(humans(500))
    pipeline.drained()
    eventually(lambda: pipeline.members() == 2)
    started = time.monotonic()
    assert worker.stop(number) == 0
    # It takes a tenth of a second; a transaction that is only left alone takes ten.
    assert time.monotonic() - started < 9
    assert pipeline.members() == 0


def test_of_more_workers_than_partitions_one_says_that_others_have_them_and_they_what_stays(
    pipeline: Pipeline,
) -> None:
    pipeline.create(partitions=1)
    first = pipeline.worker(INSTANCE="first")
    # Else both join in one generation, and nobody has anything that stays.
    first.until("assigned")
    second = pipeline.worker(INSTANCE="second")
    idle = f"assigned no partition of {pipeline.input}: other workers have them"
    eventually(lambda: idle in pipeline.outputs())
    keeps = f"assigned no more partitions of {pipeline.input}: it keeps [0]"
    eventually(lambda: keeps in pipeline.outputs())
    assert [first.stop(), second.stop()] == [0, 0]


def test_a_worker_stopped_while_it_joins_leaves_the_group_all_the_same(pipeline: Pipeline) -> None:
    pipeline.create()
    first = pipeline.worker()
    first.until("assigned")
    second = pipeline.worker()
    # It is known to the group, and waits for the first one to hear of it with a heartbeat.
    eventually(lambda: pipeline.members() == 2)
    assert second.stop() == 0
    assert pipeline.members() == 1
    assert first.stop() == 0


def test_a_worker_killed_and_started_again_takes_its_own_place_at_once(pipeline: Pipeline) -> None:
    pipeline.create()
    pipeline.send(humans(5000))
    first = pipeline.worker()
    pipeline.drained()
    first.kill()
    pipeline.send(humans(100, seed=2))
    started = time.monotonic()
    second = pipeline.worker()
    pipeline.drained()
    # Below the session time-out of 45 s, after which any other worker would have its partitions.
    assert time.monotonic() - started < 40
    assert second.stop() == 0
    pipeline.exactly_once()


def test_an_intruder_with_its_transactional_id_ends_the_worker_with_75(pipeline: Pipeline) -> None:
    pipeline.create()
    worker = pipeline.worker(INSTANCE="mine")
    worker.until("assigned")
    pipeline.send(humans(100))
    pipeline.drained()
    intruder = Producer(
        {
            "bootstrap.servers": pipeline.bootstrap_servers,
            "transactional.id": f"domination/{pipeline.group}/mine-0",
        }
    )
    intruder.init_transactions(60)
    before = len(pipeline.read(pipeline.output, "read_uncommitted").records)
    pipeline.send(humans(100, seed=2))
    assert worker.wait() == 75
    assert "fenced" in worker.output
    assert "Traceback" not in worker.output
    assert len(pipeline.read(pipeline.output, "read_uncommitted").records) == before
    after = pipeline.worker(INSTANCE="mine")
    pipeline.drained()
    assert after.stop() == 0
    pipeline.exactly_once()


def test_a_writer_that_is_fenced_while_it_sends_says_that_it_is(pipeline: Pipeline) -> None:
    pipeline.create()
    to = connection.of(from_environment(pipeline.environment))
    topics = pipeline.input, (pipeline.output,), pipeline.dead
    target = Target(pipeline.group, *topics, FORM, Fault("too_large", ""), NO_RIGHTS)
    three = Records(pipeline.input, [b"{}"] * 3).outcome([b"{}"] * 3)
    client = {"bootstrap.servers": pipeline.bootstrap_servers}
    member = Consumer({**client, "group.id": pipeline.group}).consumer_group_metadata()
    for _ in range(10):  # What is told first is a matter of chance.
        writer = KafkaWriter(to, target)
        writer.renew(30)
        writer.begin()
        Producer({**client, "transactional.id": pipeline.group}).init_transactions(30)
        writer.write(three)
        with pytest.raises(CallError) as fenced:
            writer.send_offsets({0: Position(0)}, Proof(member), 10)
        assert fenced.value.failure is Failure.FENCED
        writer.discard()


def test_a_worker_evicted_from_the_group_joins_again(pipeline: Pipeline) -> None:
    pipeline.create()
    worker = pipeline.worker(INSTANCE="mine")
    worker.until("assigned")
    twin = Consumer(
        {
            "bootstrap.servers": pipeline.bootstrap_servers,
            "group.id": pipeline.group,
            "group.instance.id": "mine-0",
            "partition.assignment.strategy": "cooperative-sticky",
            "auto.offset.reset": "earliest",
            "log_level": 0,
        }
    )
    twin.subscribe([pipeline.input])

    def evicted() -> bool:
        twin.poll(0.1)
        return "evicted" in worker.output

    eventually(evicted)
    assert "the same instance name, mine-0" in worker.output
    twin.close()
    pipeline.send(humans(500))
    pipeline.drained()
    assert worker.stop() == 0
    pipeline.exactly_once()


@pytest.mark.parametrize("rate", [None, 400], ids=["idle", "under load"])
def test_of_two_workers_with_one_name_one_goes_on_and_the_other_ends_with_75(
    pipeline: Pipeline, rate: int | None
) -> None:
    pipeline.create()
    workers = [pipeline.worker(INSTANCE="mine")]
    pipeline.started()

    def one_ended() -> bool:
        return any(each.process.poll() is not None for each in workers)

    with ThreadPoolExecutor(1) as pool:
        load = takewhile(lambda _: not one_ended(), humans(1_000_000 if rate else 0))
        sending = pool.submit(pipeline.send, load, rate)
        workers.append(pipeline.worker(INSTANCE="mine"))
        eventually(one_ended)
        sending.result()
    (ended,) = (each for each in workers if each.process.poll() is not None)
    (alive,) = (each for each in workers if each is not ended)
    assert ended.wait() == 75
    assert "another producer has the same transactional id" in ended.output
    pipeline.send(humans(500, seed=2))
    pipeline.drained()
    assert alive.stop() == 0
    pipeline.exactly_once()


def test_a_worker_whose_topics_are_missing_says_which_and_ends_with_78(pipeline: Pipeline) -> None:
    worker = pipeline.worker()
    assert worker.wait() == 78
    (line,) = worker.output.splitlines()
    assert pipeline.input in line
    assert pipeline.dead in line
    assert "domination topics" in line


def test_offsets_that_are_gone_end_the_worker_instead_of_a_replay(pipeline: Pipeline) -> None:
    pipeline.create(partitions=1)
    pipeline.send(humans(10))
    consumer = Consumer(
        {"bootstrap.servers": pipeline.bootstrap_servers, "group.id": pipeline.group}
    )
    (place,) = pipeline.partitions(pipeline.input)
    place.offset = 99
    consumer.commit(offsets=[place], asynchronous=False)
    consumer.close()
    worker = pipeline.worker()
    assert worker.wait() == 78
    assert "is gone" in worker.output
    assert "Traceback" not in worker.output
    assert not pipeline.read(pipeline.output).records
