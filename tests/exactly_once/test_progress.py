"""A worker goes on where the network is slow, and says so at once where it cannot go on at all."""

from __future__ import annotations

import signal
import time
from contextlib import closing
from inspect import signature
from typing import TYPE_CHECKING
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from harness.kafka_proxy import KafkaProxy
from harness.kafka_server import free_ports, set_quota
from harness.pipeline import Pipeline
from harness.processes import DOMINATION, HURT, PATIENT_SECONDS, eventually, run
from harness.records import humans
from harness.together import Together, call, waits
from harness.token_endpoint import token_endpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from harness.kafka_server import KafkaServer
    from harness.processes import Worker


@pytest.fixture(scope="module", autouse=True)
def together(
    request: pytest.FixtureRequest,
    bootstrap_servers: str,
    breakable: KafkaServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Together]:
    """Start them before the first test; who takes a broker has a Kafka of its own."""

    def run(scenario: Callable[..., None]) -> None:
        own = "broker" in signature(scenario).parameters
        if own:
            breakable.start()
        servers = breakable.bootstrap_servers if own else bootstrap_servers
        pipeline = Pipeline(servers, tmp_path_factory.mktemp("together"))
        try:
            call(scenario, pipeline=pipeline, broker=breakable)
        finally:
            pipeline.end()

    with closing(Together(request, run, 5)) as made:
        yield made


def test_a_limit_that_is_told_slowly_is_still_the_topics_own(pipeline: Pipeline) -> None:
    large = {"max.message.bytes": "5000000"}
    pipeline.create(source=large, output=large)
    with closing(KafkaProxy(pipeline.bootstrap_servers, delay_seconds=0.1)) as slow:
        worker = pipeline.worker(KAFKA_BOOTSTRAP_SERVERS=slow.address)
        worker.until("assigned")
        pipeline.send([(b'{"rating":3,"unique_id":"%b"}' % (b"x" * 1_500_000), None)])
        pipeline.drained()
        assert worker.stop() == 0
    pipeline.exactly_once()


@pytest.mark.parametrize(
    ("topic", "cause"),
    [
        ({"cleanup.policy": "compact"}, "failed to validate record"),
        ({"message.timestamp.before.max.ms": "1"}, "Invalid timestamp"),
    ],
    ids=["no key into a compacted topic", "a time out of bounds"],
)
def test_a_write_that_is_refused_for_good_ends_with_78_and_names_topic_and_cause(
    pipeline: Pipeline, topic: dict[str, str], cause: str
) -> None:
    pipeline.create(output=topic)
    pipeline.send([(value, None) for value, _ in humans(500)])
    worker = pipeline.worker()
    assert worker.wait() == 78
    (line,) = [each for each in worker.output.splitlines() if " ERROR " in each]
    assert pipeline.output in line
    assert cause in line
    assert not pipeline.read(pipeline.output).records


def with_token(pipeline: Pipeline, endpoint: str) -> Worker:
    return pipeline.worker(
        AVAILABILITY_TIMEOUT_SECONDS="4",
        KAFKA_SECURITY_PROTOCOL="SASL_PLAINTEXT",
        KAFKA_SASL_MECHANISM="OAUTHBEARER",
        KAFKA_SASL_OAUTHBEARER_METHOD="oidc",
        KAFKA_SASL_OAUTHBEARER_CLIENT_ID="worker",
        KAFKA_SASL_OAUTHBEARER_CLIENT_SECRET="secret",
        KAFKA_SASL_OAUTHBEARER_TOKEN_ENDPOINT_URL=endpoint,
    )


def test_a_token_endpoint_that_is_away_is_waited_for_like_a_broker(pipeline: Pipeline) -> None:
    (port,) = free_ports(1)
    endpoint = f"http://127.0.0.1:{port}/token"
    worker = with_token(pipeline, endpoint)
    assert worker.wait() == 69
    assert f"no token from {endpoint}" in worker.output
    assert "for 4 s" in worker.output


def test_a_token_endpoint_that_fails_is_waited_for_too(pipeline: Pipeline) -> None:
    with token_endpoint(lambda _: (503, b'{"message":"later"}')) as endpoint:
        # The client itself asks it again for longer than that.
        assert with_token(pipeline, endpoint).wait() == 69


def test_a_client_whom_the_token_endpoint_refuses_ends_with_77(pipeline: Pipeline) -> None:
    with token_endpoint(lambda _: (401, b'{"error":"invalid_client"}')) as endpoint:
        worker = with_token(pipeline, endpoint)
        assert worker.wait() == 77
    assert "invalid_client" in worker.output
    assert "check DOMINATION_KAFKA_SASL_OAUTHBEARER_CLIENT_ID, …_CLIENT_SECRET" in worker.output
    assert "secret" not in worker.output


def test_check_finds_a_compacted_output_topic(pipeline: Pipeline) -> None:
    pipeline.create(output={"cleanup.policy": "compact"})
    checked = run(*DOMINATION, "check", "kafka", environment=pipeline.environment)
    assert checked.returncode == 78
    assert f"topic {pipeline.output} is compacted" in checked.stdout


@pytest.mark.parametrize("which", ["output", "dead"])
def test_an_output_topic_that_is_deleted_ends_the_worker_with_78_and_its_name(
    pipeline: Pipeline, which: str
) -> None:
    topic = getattr(pipeline, which)
    pipeline.create()
    worker = pipeline.worker()
    pipeline.send(humans(100))
    pipeline.drained()
    pipeline.admin.delete_topics([topic])[topic].result(30)
    pipeline.send([*humans(100, seed=2), (b"{", None)])
    assert worker.wait() == 78
    # Kafka refuses the write at once, or the client waits for it and the renewal finds out.
    (line,) = (line for line in worker.output.splitlines() if "ERROR" in line)
    assert "a topic is missing" in line
    assert topic in line
    assert "Traceback" not in worker.output


# These have waited meanwhile.


@waits
def test_answers_that_take_a_second_are_waited_for(pipeline: Pipeline) -> None:
    pipeline.create()
    with closing(KafkaProxy(pipeline.bootstrap_servers, delay_seconds=0.5)) as slow:
        worker = pipeline.worker(KAFKA_BOOTSTRAP_SERVERS=slow.address)
        pipeline.send(humans(500))
        pipeline.drained()
        assert worker.stop() == 0
    pipeline.exactly_once()


@waits
def test_an_uplink_that_is_too_slow_for_a_backlog_makes_progress(pipeline: Pipeline) -> None:
    pipeline.create(partitions=12)
    pipeline.send(humans(20_000))
    # Some 15 seconds for all, where a transaction has ten.
    with closing(KafkaProxy(pipeline.bootstrap_servers, bytes_a_second=40_000)) as slow:
        worker = pipeline.worker(KAFKA_BOOTSTRAP_SERVERS=slow.address)
        pipeline.drained()
        assert worker.stop() == 0
    pipeline.exactly_once()


@waits
def test_a_quota_that_holds_a_backlog_back_lets_some_through_and_all_once_it_is_lifted(
    pipeline: Pipeline,
) -> None:
    # Kafka takes one large request whole, and then reads nothing for minutes: nothing is unsent.
    pipeline.create(partitions=12, outputs=1)
    pipeline.send(humans(150_000))
    set_quota(pipeline.bootstrap_servers, pipeline.group, 1_000)
    worker = pipeline.worker(KAFKA_CLIENT_ID=pipeline.group)
    eventually(lambda: bool(pipeline.read(pipeline.output).records))
    assert len(pipeline.read(pipeline.output).records) < 150_000
    set_quota(pipeline.bootstrap_servers, pipeline.group, None)
    pipeline.drained()
    assert worker.stop() == 0
    pipeline.exactly_once()


def told(worker: Worker, text: str) -> int:
    """Count how often a worker has said something."""
    return worker.output.count(text)


def alive(port: int) -> bool:
    try:
        with urlopen(f"http://127.0.0.1:{port}/healthz", timeout=PATIENT_SECONDS):
            return True
    except HTTPError:
        return False


@waits
def test_commits_that_fail_for_ever_end_with_69_although_the_broker_answers_all_else(
    pipeline: Pipeline,
) -> None:
    pipeline.create()
    (port,) = free_ports(1)
    # Records take so long that a broker is asked for a sign of life in between.
    with closing(KafkaProxy(pipeline.bootstrap_servers, delay_seconds=0.1)) as proxy:
        worker = pipeline.worker(
            KAFKA_BOOTSTRAP_SERVERS=proxy.address, HTTP=str(port), AVAILABILITY_TIMEOUT_SECONDS="8"
        )
        pipeline.send(humans(100))
        pipeline.drained()
        # Trouble at the start is over.
        eventually(lambda: told(worker, "trying again") == told(worker, "working again"))
        proxy.stall_all("EndTxn")
        calmed = told(worker, "working again")
        pipeline.send(humans(100, seed=2))
        eventually(lambda: told(worker, "trying again") > calmed)
        assert alive(port)
        assert worker.wait() == 69
        assert told(worker, "working again") == calmed
    (line,) = (line for line in worker.output.splitlines() if "ERROR" in line)
    assert "committing" in line
    assert "8 s" in line
    another = pipeline.worker()
    pipeline.drained()
    assert another.stop() == 0
    pipeline.exactly_once()


@waits
def test_a_worker_that_waits_for_its_broker_is_alive(
    pipeline: Pipeline, broker: KafkaServer
) -> None:
    (port,) = free_ports(1)
    worker = pipeline.create().worker(command=HURT, HTTP=str(port), CHAOS_TURN_SECONDS="30")
    pipeline.send(humans(1_000))
    pipeline.drained()
    pipeline.send(humans(1_000, seed=2))
    broker.send_signal(signal.SIGSTOP)
    try:
        frozen = time.monotonic()
        eventually(lambda: not alive(port) or time.monotonic() - frozen > 45)
        assert time.monotonic() - frozen > 45
    finally:
        broker.send_signal(signal.SIGCONT)
    assert worker.stop() == 0
