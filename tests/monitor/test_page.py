"""The monitor's page and those who mean it ill, with real clients: other names, frames, crowds."""

from __future__ import annotations

import http.client
import json
import re
import signal
import socket
import statistics
import threading
import time
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from domination.monitor.connections import MOST_CONNECTIONS
from domination.monitor.guard import MOST_VIEWERS
from harness.kafka_server import free_ports
from harness.page_proxy import PageProxy
from harness.pipeline import Pipeline
from harness.processes import DOMINATION, PATIENT_SECONDS, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

    from harness.processes import Worker

PATH: Final = "/domination"
_CLIENT: Final = re.compile(r"'client_id': '([\w-]+)'")


class Answer(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    text: str
    began: float
    ended: float

    @property
    def seconds(self) -> float:
        return self.ended - self.began


class Site(NamedTuple):
    """A monitor of servers that are not there, and a proxy before it."""

    monitor: Worker
    port: int
    proxy: PageProxy

    def ask(self, path: str = "/", **headers: str) -> Answer:
        """Ask as no browser does: only with these headers."""
        began = time.monotonic()
        with closing(
            http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENT_SECONDS)
        ) as client:
            client.request("GET", path, headers=headers)
            answer = client.getresponse()
            text = answer.read().decode()
            return Answer(answer.status, answer.headers, text, began, time.monotonic())

    def healthy(self) -> None:
        """Ask as Kubernetes does, which waits for a second: most answers have to come in time."""
        took = []
        for _ in range(11):
            took.append(self.ask("/healthz").seconds)
            time.sleep(0.1)
        assert statistics.median(took) < 1, took

    def client_id(self) -> str:
        """Open the page, without a socket."""
        found: list[str] = []

        def served() -> bool:
            found.extend(_CLIENT.findall(self.ask().text))
            return bool(found)

        eventually(served)
        return found[0]

    def socket(self, client_id: str, origin: str | None = None) -> ClientConnection:
        """Open the socket of a page."""
        query = (
            f"EIO=4&transport=websocket&client_id={client_id}&tab_id={client_id}"
            "&document_id=d&next_message_id=0&implicit_handshake=true"
        )
        return connect(
            f"ws://127.0.0.1:{self.port}/_nicegui_ws/socket.io/?{query}",
            origin=origin,  # type: ignore[arg-type]
            open_timeout=PATIENT_SECONDS,
            max_size=None,
        )

    @contextmanager
    def viewer(self, client_id: str, origin: str | None = None) -> Iterator[ClientConnection]:
        """Open the page's socket and connect as a page does."""
        with self.socket(client_id, origin) as opened:
            assert str(opened.recv(PATIENT_SECONDS)).startswith("0{")
            opened.send("40")
            assert str(opened.recv(PATIENT_SECONDS)).startswith("40")
            yield opened

    @contextmanager
    def watching(self) -> Iterator[threading.Thread]:
        """Look at the page as a browser does; the thread ends when the server ends that."""

        def answer() -> None:
            with suppress(ConnectionClosed):
                for said in opened:
                    if said == "2":
                        opened.send("3")

        with self.viewer(self.client_id()) as opened:
            thread = threading.Thread(target=answer, daemon=True)
            thread.start()
            yield thread

    def memory(self) -> int:
        """Give its resident memory, in MB."""
        status = Path(f"/proc/{self.monitor.process.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+)", status)
        assert found
        return int(found[1]) // 1024


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    kafka, clickhouse, port = free_ports(3)
    proxy = PageProxy(("127.0.0.1", port), PATH)
    monitor = Pipeline(f"127.0.0.1:{kafka}", tmp_path_factory.mktemp("site")).worker(
        command=(*DOMINATION, "monitor"),
        MONITOR=str(port),
        MONITOR_URL=f"http://monitor.localhost:{proxy.port}{PATH}/",
        CLICKHOUSE_URL=f"clickhouse://127.0.0.1:{clickhouse}",
    )
    monitor.until("Domination at")
    yield Site(monitor, port, proxy)
    assert monitor.stop(signal.SIGTERM) == 0
    assert "Traceback" not in monitor.output
    proxy.close()


def test_another_name_reads_nothing_and_another_origin_opens_no_socket(site: Site) -> None:
    assert site.ask(Host="evil.example").status == 421
    assert site.ask("/_nicegui_ws/socket.io/?EIO=4", Origin="http://evil.example").status == 403
    page = site.client_id()
    for origin in ("http://evil.example", "null"):
        with pytest.raises(InvalidStatus, match="403"):
            site.socket(page, origin).__enter__()
    with site.viewer(page, f"http://127.0.0.1:{site.port}"):
        pass


def test_no_script_comes_from_where_a_header_says(site: Site) -> None:
    told = site.ask(**{"X-Forwarded-Prefix": "//evil.example", "X-Forwarded-Host": "evil.example"})
    assert told.status in (200, 503)
    assert "evil" not in told.text


def test_what_there_is_not_is_drawn_for_nobody(site: Site) -> None:
    for path in ("/_nicegui/x", "/_nicegui/../", "/x"):
        told = site.ask(path)
        assert told.status == 404
        assert not _CLIENT.search(told.text)


def test_frames_of_others_write_nothing_to_the_log(site: Site) -> None:
    page = site.client_id()
    before = len(site.monitor.output)
    forged = json.dumps(
        ["log", {"client_id": page, "level": "error", "message": "\x1b[2J\nforged"}]
    )
    for frame in ("42" + forged, '42["handshake",{}]', '42["ack",{}]', "40{", "x", b"\xff", "4"):
        with site.viewer(page) as opened, suppress(ConnectionClosed, TimeoutError):
            for _ in range(2_000):
                opened.send(frame)
            opened.recv(10)
        page = site.client_id()
    with site.viewer(page) as opened:
        with suppress(ConnectionClosed):
            opened.send("x" * 2_000_000)
        with pytest.raises(ConnectionClosed, match="1009"):
            list(opened)
    with site.viewer(page) as opened, suppress(ConnectionClosed):
        opened.send(b"\xff", text=True)
        list(opened)
    assert site.ask("/healthz").status == 200
    said = site.monitor.output[before:]
    assert "forged" not in said
    assert "Traceback" not in said
    assert "\x1b" not in said
    assert len(said) < 10_000


@pytest.mark.parametrize("renaming", [False, True], ids=["its own Host", "the server's Host"])
def test_it_works_behind_a_proxy_with_a_path(
    site: Site, chromium: Browser, *, renaming: bool
) -> None:
    asked: list[str] = []
    said: list[str] = []
    port = site.proxy.port
    site.proxy.host = f"127.0.0.1:{site.port}" if renaming else ""
    context = chromium.new_context()
    context.set_default_timeout(PATIENT_SECONDS * 1000)
    page = context.new_page()
    own = (f"http://monitor.localhost:{port}{PATH}/", f"ws://monitor.localhost:{port}{PATH}/")
    page.on("request", lambda each: asked.append(each.url))
    page.on("websocket", lambda each: asked.append(each.url))
    page.on("console", lambda each: said.append(each.text))
    page.goto(own[0])
    # Only what came over the WebSocket says so.
    page.wait_for_selector("[data-source=Kafka][data-state=down]", timeout=PATIENT_SECONDS * 1000)
    context.close()
    assert [url for url in asked if not url.startswith((*own, "data:"))] == []
    assert any(url.startswith(own[1]) for url in asked)
    assert said == []


def test_a_crowd_is_bounded_told_and_forgotten(site: Site) -> None:
    before = site.memory()
    with site.watching() as viewer:
        answers = [site.ask() for _ in range(1_200)]
        served = [each for each in answers if each.status == 200]
        # A page without a socket is forgotten after ten seconds, and until then it has its place.
        for one, later in zip(served, served[MOST_VIEWERS:], strict=False):
            assert later.ended - one.began >= 10
        told = next(each for each in answers if each.status == 503)
        assert f"{MOST_VIEWERS} people" in told.text
        assert told.headers["Refresh"]
        # Who looks is not driven out, nobody waits for the health, and soon there are places.
        site.healthy()
        eventually(lambda: all(site.ask().status == 200 for _ in range(20)))
        assert viewer.is_alive()
    assert site.memory() - before < 100


def test_as_many_as_it_serves_do_not_delay_its_health(site: Site) -> None:
    with ExitStack() as stack:
        viewers = [stack.enter_context(site.watching()) for _ in range(MOST_VIEWERS)]
        assert site.ask().status == 503
        site.healthy()
        assert site.memory() < 384
        assert all(each.is_alive() for each in viewers)


def test_silent_clients_keep_nobody_out(site: Site) -> None:
    handles = Path(f"/proc/{site.monitor.process.pid}/fd")
    before = len(list(handles.iterdir()))
    with ExitStack() as stack:
        for number in range(MOST_CONNECTIONS + 100):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", site.port)))
            client.sendall(b"GET / HTTP/1.1\r\n"[: number % 10])
        site.healthy()
        assert len(list(handles.iterdir())) - before <= MOST_CONNECTIONS + 10


def test_a_request_without_an_end_is_ended(site: Site) -> None:
    before = site.memory()
    with socket.create_connection(("127.0.0.1", site.port), timeout=PATIENT_SECONDS) as client:
        with suppress(OSError):
            for _ in range(100):
                client.sendall(b"GET / HTTP/1.1\r\nx: " + b"x" * 1_000_000)
        with suppress(ConnectionResetError):
            while client.recv(65_536):
                pass
    assert site.memory() - before < 30
