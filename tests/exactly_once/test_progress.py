"""A worker goes on where the network is slow, and says so at once where it cannot go on at all."""

from __future__ import annotations

import signal
import threading
import time
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from harness.kafka_proxy import KafkaProxy
from harness.kafka_server import free_ports
from harness.processes import DOMINATION, HURT, eventually, run
from harness.records import humans

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.kafka_server import KafkaServer
    from harness.pipeline import Pipeline
    from harness.processes import Worker


def test_answers_that_take_a_second_are_waited_for(pipeline: Pipeline) -> None:
    pipeline.create()
    with closing(KafkaProxy(pipeline.bootstrap_servers, delay_seconds=0.5)) as slow:
        worker = pipeline.worker(KAFKA_BOOTSTRAP_SERVERS=slow.address)
        pipeline.send(humans(500))
        pipeline.drained()
        assert worker.stop(seconds=15) == 0
    pipeline.exactly_once()


def test_an_uplink_that_is_too_slow_for_a_backlog_makes_progress(pipeline: Pipeline) -> None:
    pipeline.create(partitions=12)
    pipeline.send(humans(20_000))
    # Some 15 seconds for all, where a transaction has ten.
    with closing(KafkaProxy(pipeline.bootstrap_servers, bytes_a_second=40_000)) as slow:
        worker = pipeline.worker(KAFKA_BOOTSTRAP_SERVERS=slow.address)
        pipeline.drained()
        assert worker.stop() == 0
    pipeline.exactly_once()


def test_a_quota_that_holds_a_backlog_back_lets_some_through_and_all_once_it_is_lifted(
    own_kafka: KafkaServer, own_pipeline: Pipeline
) -> None:
    # Kafka takes one large request whole, and then reads nothing for minutes: nothing is unsent.
    own_pipeline.create(partitions=12, outputs=1)
    own_pipeline.send(humans(150_000))
    own_kafka.set_quota("quota", 1_000)
    worker = own_pipeline.worker(KAFKA_CLIENT_ID="quota")
    eventually(lambda: bool(own_pipeline.read(own_pipeline.output).records), 90)
    assert len(own_pipeline.read(own_pipeline.output).records) < 150_000
    own_kafka.set_quota("quota", None)
    own_pipeline.drained()
    assert worker.stop() == 0
    own_pipeline.exactly_once()


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


@contextmanager
def token_endpoint(status: int, body: bytes) -> Iterator[str]:
    """Serve the same answer to whoever asks for a token; yield its address."""

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/token"
        server.shutdown()


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
    with token_endpoint(503, b'{"message":"later"}') as endpoint:
        # The client itself asks it again for longer than that.
        assert with_token(pipeline, endpoint).wait() == 69


def test_a_client_whom_the_token_endpoint_refuses_ends_with_77(pipeline: Pipeline) -> None:
    with token_endpoint(401, b'{"error":"invalid_client"}') as endpoint:
        worker = with_token(pipeline, endpoint)
        assert worker.wait() == 77
    assert "invalid_client" in worker.output
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
    assert worker.wait(60) == 78
    # Kafka refuses the write at once, or the client waits for it and the renewal finds out.
    (line,) = (line for line in worker.output.splitlines() if "ERROR" in line)
    assert "a topic is missing" in line
    assert topic in line
    assert "Traceback" not in worker.output


def alive(port: int) -> bool:
    try:
        with urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5):
            return True
    except HTTPError:
        return False


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
        proxy.stall_all("EndTxn")
        calmed = worker.output.count("working again")
        pipeline.send(humans(100, seed=2))
        worker.until("trying again")
        assert alive(port)
        assert worker.wait() == 69
        assert worker.output.count("working again") == calmed
    (line,) = (line for line in worker.output.splitlines() if "ERROR" in line)
    assert "committing" in line
    assert "8 s" in line
    another = pipeline.worker()
    pipeline.drained()
    assert another.stop() == 0
    pipeline.exactly_once()


def test_a_worker_that_waits_for_its_broker_is_alive(
    own_kafka: KafkaServer, own_pipeline: Pipeline
) -> None:
    (port,) = free_ports(1)
    worker = own_pipeline.create().worker(command=HURT, HTTP=str(port), CHAOS_TURN_SECONDS="30")
    own_pipeline.send(humans(1_000))
    own_pipeline.drained()
    own_pipeline.send(humans(1_000, seed=2))
    own_kafka.send_signal(signal.SIGSTOP)
    frozen = time.monotonic()
    eventually(lambda: not alive(port) or time.monotonic() - frozen > 45, 60)
    assert time.monotonic() - frozen > 45
    own_kafka.send_signal(signal.SIGCONT)
    assert worker.stop(seconds=60) == 0
