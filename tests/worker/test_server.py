"""A worker's HTTP port, and clients that are silent, rude or too many."""

from __future__ import annotations

import re
import socket
import struct
import subprocess
import sys
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from domination.settings import Settings
from domination.worker.health import Health
from domination.worker.lifecycle import Lifecycle
from domination.worker.metrics import Metrics
from domination.worker.server import MOST_CONNECTIONS, Handler
from harness.kafka_server import free_ports
from harness.processes import PATIENT_SECONDS, ROOT, WORKER, Worker, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RESET = struct.pack("ii", 1, 0)
"""For SO_LINGER: close with a reset."""
HEALTH = b"GET /healthz HTTP/1.1\r\n\r\n"
METRICS = b"GET /metrics HTTP/1.1\r\n"
OPEN = b"Accept: application/openmetrics-text;version="
ACCEPT = METRICS + OPEN + b"abc\r\n\r\n"


def connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=PATIENT_SECONDS)


def answer(port: int, request: bytes) -> bytes:
    """Give all that comes back for a request, which nothing follows."""
    with connected(port) as client:
        client.sendall(request)
        client.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: client.recv(65536), b""))


def reset(port: int, request: bytes) -> None:
    client = connected(port)
    client.sendall(request)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    client.close()


@pytest.fixture(scope="module")
def port() -> int:
    (port,) = free_ports(1)
    settings = Settings(http=str(port))
    Health(settings, Lifecycle(), Metrics(settings), {})
    return port


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Worker]:
    """Give a worker without a broker, that may open 256 files and logs JSON."""
    environment = {
        "DOMINATION_HTTP": "0",
        "DOMINATION_LOG_FORMAT": "json",
        "DOMINATION_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
    }
    limited = ("sh", "-c", 'ulimit -n 256; exec "$@"', "sh", *WORKER)
    worker = Worker(limited, environment, tmp_path / "log")
    yield worker
    worker.kill()


def port_of(worker: Worker) -> int:
    worker.until("/metrics")
    found = re.search(r"http://\S+:(\d+) has", worker.output)
    assert found
    return int(found[1])


def test_silent_clients_do_not_keep_the_health_of_a_worker_from_the_next(worker: Worker) -> None:
    port = port_of(worker)
    with ExitStack() as silent:
        for _ in range(400):
            silent.enter_context(connected(port))
        for _ in range(3):
            assert b"200 OK" in answer(port, HEALTH)
    assert worker.stop() == 0


def test_a_rude_client_adds_nothing_to_the_log_but_whole_objects(worker: Worker) -> None:
    port = port_of(worker)
    assert b" 200 OK" in answer(port, ACCEPT)
    for request in (b"", b"GET", HEALTH, METRICS + b"\r\n") * 5:
        reset(port, request)
    assert b"200 OK" in answer(port, HEALTH)
    assert worker.stop() == 0
    for line in worker.output.splitlines():
        assert orjson.loads(line)["level"] != "error", line


def test_the_newest_connections_stay_and_no_thread_is_left_of_the_others(port: int) -> None:
    def threads() -> int:
        return sum("process_request" in each.name for each in threading.enumerate())

    with ExitStack() as silent:
        clients = [silent.enter_context(connected(port)) for _ in range(3 * MOST_CONNECTIONS)]
        for client in clients[: 2 * MOST_CONNECTIONS]:
            assert client.recv(1) == b""  # Closed by the server.
        eventually(lambda: threads() == MOST_CONNECTIONS)
        clients[-1].sendall(HEALTH)
        assert clients[-1].recv(12) == b"HTTP/1.0 200"
    eventually(lambda: threads() == 0)


def test_a_silent_connection_is_closed(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Handler, "timeout", 0.1)
    with connected(port) as client:
        client.sendall(b"GET /healthz HTT")
        assert client.recv(1) == b""


@given(st.binary(max_size=200))
@example(ACCEPT)
@example(METRICS + OPEN + b"1.0.0\r\n x:y\r\n\r\n")
@example(b"GET /metrics?name[]=%ff&name[]= HTTP/1.1\r\nAccept-Encoding: gzip;q=x\r\n\r\n")
@example(b"POST /metrics HTTP/1.1\r\nContent-Length: -1\r\n\r\n")
@example(b"GET //[::1 HTTP/1.1\r\n\xff: \xff\r\n\r\n")
def test_no_request_makes_a_server_error_or_a_word_on_stderr(port: int, request: bytes) -> None:
    with pytest.MonkeyPatch.context() as patch:
        said: list[str] = []
        patch.setattr(sys.stderr, "write", said.append)
        assert not re.match(rb"HTTP/\S+ 500", answer(port, request))
        assert not said


OUT_OF_FILES = """
import os, resource, socket, time
from domination.settings import Settings
from domination.worker.health import Health
from domination.worker.lifecycle import Lifecycle
from domination.worker.metrics import Metrics

accept, calls, held = socket.socket.accept, [], []
def counted(self):
    calls.append(1)
    return accept(self)
socket.socket.accept = counted

settings = Settings(http=os.environ["PORT"])
Health(settings, Lifecycle(), Metrics(settings), {})
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
try:
    while True:
        held.append(os.dup(0))
except OSError:
    print("full", flush=True)
input()
while not calls:
    time.sleep(0.01)
before = len(calls)
time.sleep(1)
print(len(calls) - before, flush=True)
for each in held:
    os.close(each)
input()
"""


def test_a_process_that_is_out_of_file_handles_waits_and_answers_later() -> None:
    (port,) = free_ports(1)
    with subprocess.Popen(
        [sys.executable, "-c", OUT_OF_FILES],
        cwd=ROOT,
        env={"PORT": str(port)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdin
        assert process.stdout
        assert process.stdout.readline() == b"full\n"
        with connected(port) as client:
            client.sendall(HEALTH)
            process.stdin.write(b"\n")
            process.stdin.flush()
            # Who does not wait asks some 100,000 times.
            assert int(process.stdout.readline()) < 1_000
            assert client.recv(12) == b"HTTP/1.0 200"
        process.communicate(b"\n")
