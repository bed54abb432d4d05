"""Health, readiness and metrics: asked over HTTP, and scraped by a real Prometheus."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from importlib.metadata import version
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import confluent_kafka
import orjson
import pytest
from prometheus_client.parser import text_string_to_metric_families

from conftest import need
from domination import __version__
from domination.errors import DominationError, Exit
from domination.exactly_once.ports import Committed, Lag
from domination.settings import Settings
from domination.shadow import LABELS
from domination.worker.health import Health
from domination.worker.lifecycle import Lifecycle
from domination.worker.metrics import Metrics
from harness.dashboard import expressions
from harness.kafka_server import free_ports
from harness.processes import CLEAN, PATIENT_SECONDS, ROOT, WORKER, Worker, eventually, run
from harness.records import BAD, mixed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from harness.pipeline import Pipeline

ALERTS = ROOT / "deploy" / "prometheus"


def get(address: str, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://{address}{path}", timeout=PATIENT_SECONDS) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def told(address: str, path: str) -> tuple[int, Any]:
    code, body = get(address, path)
    return code, orjson.loads(body)


def address_of(worker: Worker) -> str:
    worker.until("/metrics")
    found = re.search(r"http://(\S+) has", worker.output)
    assert found
    return found[1]


def metrics(address: str) -> dict[tuple[str, ...], float]:
    """Give each sample's value by its name and its labels' values."""
    families = text_string_to_metric_families(get(address, "/metrics")[1])
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in families
        for sample in family.samples
    }


@pytest.mark.parametrize("workers", [1, 2])
def test_metrics_count_what_is_in_the_topics(pipeline: Pipeline, workers: int) -> None:
    began = time.time()
    pipeline.create()
    pipeline.send(mixed(6_000))
    worker = pipeline.worker("-w", str(workers), HTTP="0")
    address = address_of(worker)
    assert address.startswith("127.0.0.1:")
    pipeline.drained()
    eventually(lambda: told(address, "/readyz") == (200, {"ready": True, "reasons": []}))
    assert told(address, "/healthz") == (200, {"alive": True, "reasons": []})
    # Kafka knows of a commit a little earlier than the worker counts it.
    name = ("domination_records_consumed_total", pipeline.input)
    eventually(lambda: metrics(address).get(name) == len(pipeline.sent))
    found = metrics(address)
    shadows = [each["type"] for each in pipeline.read(pipeline.output).values()]
    for number, label in enumerate(LABELS):
        produced = found["domination_records_produced_total", pipeline.output, label]
        assert produced == shadows.count(number) > 0
    letters = [dict(each.headers() or []) for each in pipeline.read(pipeline.dead).records]
    for reason in set(BAD.values()):
        count = sum(each["domination.error.reason"] == reason.encode() for each in letters)
        assert found["domination_records_dead_lettered_total", reason] == count > 0
    committed = found["domination_transactions_total", "committed"]
    assert committed == found["domination_transaction_duration_seconds_count",] > 0
    assert found["domination_record_age_seconds_count",] > len(pipeline.sent) / 100
    assert began < found["domination_last_commit_timestamp_seconds",] < time.time()
    assert found["domination_rebalances_total",] >= workers
    names = [f"domination_consumer_lag_{unit}" for unit in ("records", "seconds")]
    # Prometheus sorts labels: the partition comes first.
    lags = [(name, str(number), pipeline.input) for name in names for number in range(4)]
    eventually(lambda: [metrics(address).get(each) for each in lags] == [0.0] * 8)
    assert any(name[0] == "domination_build_info" for name in found)
    assert get(address, "/")[0] == 404
    assert worker.stop() == 0


def test_metrics_count_through_a_rebalance(pipeline: Pipeline) -> None:
    pipeline.create()
    pipeline.send(mixed(3_000))
    first = pipeline.worker(HTTP="0", INSTANCE="first")
    pipeline.drained()
    second = pipeline.worker(HTTP="0", INSTANCE="second")  # A rebalance amid the traffic.
    second.until("assigned")
    pipeline.send(mixed(3_000, seed=2))
    pipeline.drained()
    name = ("domination_records_consumed_total", pipeline.input)

    def counted() -> float:
        return sum(metrics(address_of(each)).get(name, 0) for each in (first, second))

    eventually(lambda: counted() >= len(pipeline.sent))
    assert counted() == len(pipeline.sent)
    assert {first.stop(), second.stop()} == {0}


def ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", pytest.param("[::1]", marks=pytest.mark.skipif(not ipv6(), reason="no IPv6"))],
)
def test_a_worker_without_a_broker_is_alive_and_not_ready(pipeline: Pipeline, host: str) -> None:
    worker = pipeline.worker(HTTP=f"{host}:0", KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1")
    address = address_of(worker)
    assert address.startswith(f"{host}:")
    eventually(
        lambda: (
            told(address, "/readyz")
            == (503, {"ready": False, "reasons": ["worker 0 has not heard from the broker"]})
        )
    )
    assert told(address, "/healthz")[0] == 200
    assert worker.stop() == 0


def test_a_taken_port_is_one_line_and_78() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = run(*WORKER, environment={"DOMINATION_HTTP": port})
    assert ended.returncode == 78
    lines = [line for line in ended.stderr.splitlines() if "ERROR" in line]
    assert len(lines) == 1
    assert f"cannot listen on 127.0.0.1:{port}" in lines[0]
    assert "Traceback" not in ended.stderr


def test_a_commit_is_counted_with_all_that_it_held_and_any_other_end_alone() -> None:
    made = Metrics(Settings())
    worker = made.worker(0)
    worker.ended("aborted")
    worker.ended("unknown")
    worker.committed(Committed(4, [bytes([3]), bytes([3])], {"not_json": 1}, {"old": 1}, [0], 0.5))
    count = made.registry.get_sample_value
    assert count("domination_records_consumed_total", {"topic": "dominate"}) == 4
    shadows = {"topic": "shadow", "type": "ShaDow"}
    assert count("domination_records_produced_total", shadows) == 2
    assert count("domination_records_dead_lettered_total", {"reason": "not_json"}) == 1
    assert count("domination_records_dropped_total", {"reason": "old"}) == 1
    assert count("domination_record_age_seconds_count") == 1
    for outcome in ("committed", "aborted", "unknown"):
        assert count("domination_transactions_total", {"outcome": outcome}) == 1


def test_a_partition_that_is_gone_has_no_lag() -> None:
    made = Metrics(Settings())
    worker, other = made.worker(0), made.worker(1)
    worker.behind({0: Lag(5, 1.0), 1: Lag(7, 2.0)})
    worker.behind({1: Lag(6, 3.0)})
    count = made.registry.get_sample_value

    def lags(unit: str) -> list[float | None]:
        name = f"domination_consumer_lag_{unit}"
        return [count(name, {"topic": "dominate", "partition": number}) for number in "01"]

    assert (lags("records"), lags("seconds")) == ([None, 6], [None, 3])
    other.behind({0: Lag(4, 0.5)})
    assert (lags("records"), lags("seconds")) == ([4, 6], [0.5, 3])
    # Both had the partition and forget it: the second one finds it gone.
    worker.behind({0: Lag(4, 0.5)})
    worker.behind({})
    other.behind({})


def test_a_process_tells_its_versions_and_what_it_uses() -> None:
    count = Metrics(Settings()).registry.get_sample_value
    versions = {
        "version": __version__,
        "python": sys.version.split()[0],
        "bytewax": version("bytewax"),
        "librdkafka": confluent_kafka.libversion()[0],
    }
    assert count("domination_build_info", versions) == 1
    for name in ("cpu_seconds_total", "resident_memory_bytes", "open_fds", "start_time_seconds"):
        value = count(f"process_{name}")
        assert value is not None
        assert value > 0


class Stuck:
    """A worker that has turned when the clock stood at 100 for the last time."""

    turned = 100.0
    unready = "is not a member of the group yet"


@pytest.mark.parametrize(("now", "code"), [(159.0, 200), (161.0, 503)])
def test_a_loop_that_does_not_turn_is_not_alive(now: float, code: int) -> None:
    (port,) = free_ports(1)
    settings = Settings(http=str(port))
    sessions: Any = {3: Stuck()}
    Health(settings, Lifecycle(), Metrics(settings), sessions, clock=lambda: now)
    assert told(f"127.0.0.1:{port}", "/healthz")[0] == code
    reasons = told(f"127.0.0.1:{port}", "/readyz")[1]["reasons"]
    assert reasons == ["worker 3 is not a member of the group yet"]


def test_a_port_that_cannot_be_had_names_the_setting() -> None:
    settings = Settings(http="192.0.2.1:9100")
    with pytest.raises(DominationError, match="DOMINATION_HTTP") as refused:
        Health(settings, Lifecycle(), Metrics(settings), {})
    assert refused.value.exit_code is Exit.SETTING


@pytest.fixture
def prometheus(tmp_path: Path) -> Iterator[tuple[str, Any]]:
    """Give a directory whose prometheus.yml a real Prometheus reads, and what starts it."""
    need("Prometheus", None if shutil.which("prometheus") else "no prometheus")
    (port,) = free_ports(1)
    processes: list[subprocess.Popen[bytes]] = []

    def start(config: Path) -> None:
        command = ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={tmp_path}/data"]
        listen = f"--web.listen-address=127.0.0.1:{port}"
        with (tmp_path / "prometheus.log").open("wb") as log:
            processes.append(subprocess.Popen([*command, listen], stdout=log, stderr=log))

    yield f"127.0.0.1:{port}", start
    for process in processes:
        process.terminate()
        process.wait(PATIENT_SECONDS)


def test_a_real_prometheus_scrapes_a_worker_by_the_config_of_this_repository(
    pipeline: Pipeline, prometheus: tuple[str, Any], tmp_path: Path
) -> None:
    address, start = prometheus
    pipeline.create()
    pipeline.send(mixed(3_000))
    worker = pipeline.worker(HTTP="0")
    config = (ALERTS / "prometheus.yml").read_text()
    config = config.replace("127.0.0.1:9100", address_of(worker)).replace("15s", "1s")
    (tmp_path / "prometheus.yml").write_text(config)
    (tmp_path / "alerts.yml").write_text((ALERTS / "alerts.yml").read_text())
    pipeline.drained()
    start(tmp_path / "prometheus.yml")

    def answer(query: str) -> list[float]:
        try:
            found = orjson.loads(get(address, f"/api/v1/query?query={query}")[1])
        except (OSError, orjson.JSONDecodeError):
            return []  # It starts, and says so in words.
        return [float(each["value"][1]) for each in found["data"]["result"]]

    eventually(
        lambda: answer("sum(domination_records_consumed_total)") == [float(len(pipeline.sent))]
    )
    eventually(lambda: answer("up") == [1.0])
    # Nothing is dropped here, and so no series tells of it.
    shown = [each for each in expressions() if "records_dropped" not in each]
    eventually(lambda: [each for each in shown if not answer(quote(each))] == [])
    rules = orjson.loads(get(address, "/api/v1/rules")[1])["data"]["groups"]
    assert [group["name"] for group in rules] == ["domination"]
    assert worker.stop() == 0


def test_the_alerts_do_what_they_say() -> None:
    need("promtool", None if shutil.which("promtool") else "no promtool")
    for what in (("check", "config", "prometheus.yml"), ("test", "rules", "alerts_test.yml")):
        ran = subprocess.run(
            ["promtool", *what], cwd=ALERTS, env=CLEAN, check=False, capture_output=True, text=True
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
