"""What stands before the monitor's page, without a server: whom it answers, what it passes on."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar

import pytest

from domination.monitor.guard import LONGEST_FRAME, MOST_SOCKETS, MOST_VIEWERS, Guard, access

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator

T = TypeVar("T")

PAGE: Final = "https://monitor.example.com/domination/"
OWN: Final = ("127.0.0.1:8080", "LOCALHOST:9000", "localhost.", "[::1]:8080", "[0:0::1]")
FOREIGN: Final = (
    *("evil.example", "127.0.0.1.evil.example", "localhost.evil.example:8080", "192.0.2.1"),
    *("", "127.0.0.1:8080 evil", "evil@127.0.0.1", "[::1", "127.0.0.1:x", "monitor.example.com"),
)
QUERY: Final = (
    "EIO=4&transport=websocket&client_id=a-1&tab_id=b&document_id=c"
    "&next_message_id=0&implicit_handshake=true"
)
ACK: Final = '42["ack",{"client_id":"a-1","next_message_id":12}]'


def ran(asked: Coroutine[Any, Any, T]) -> T:
    """Run it in a thread of its own: a browser's tests leave a loop running in this one."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, asked).result()


class Behind:
    """The application behind a guard; what it was asked, and what frames it was given."""

    def __init__(self, host: str = "127.0.0.1", url: str = "", viewers: int = 0) -> None:
        self.asked: list[Any] = []
        self.frames: list[str | None] = []
        self.wait: asyncio.Event | None = None
        self.guard = Guard(self, access([host], url), lambda: viewers)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.asked.append(scope)
        if self.wait:
            await self.wait.wait()
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"the page"})
            return
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] != "websocket.disconnect":
            if message["type"] == "websocket.receive":
                self.frames.append(message.get("text"))
        await send({"type": "websocket.close", "code": message["code"]})

    async def asks(
        self, path: str = "/", method: str = "GET", host: str = "localhost:8080", **more: str
    ) -> tuple[int, str, dict[str, str]]:
        """Ask for a path with more headers; give the answer's status, text and headers."""
        sent: list[Any] = []
        scope = {"type": "http", "method": method, "path": path, "query_string": b"q=1"}
        await self.guard(scope | {"headers": headers(host, **more)}, never, appending(sent))
        named = [(str(name, "ascii"), str(value, "ascii")) for name, value in sent[0]["headers"]]
        assert len(dict(named)) == len(named)
        return sent[0]["status"], str(sent[1]["body"], "utf-8"), dict(named)

    def answers(self, path: str = "/", **more: str) -> tuple[int, str, dict[str, str]]:
        return ran(self.asks(path, **more))

    def hears(
        self,
        *frames: str | bytes,
        path: str = "/_nicegui_ws/socket.io/",
        query: str = QUERY,
        host: str = "localhost:8080",
        **more: str,
    ) -> list[Any]:
        """Open a socket and say something; give what the client is sent."""
        said = [{"type": "websocket.receive", **_frame(each)} for each in frames]
        coming: Iterator[Any] = iter([{"type": "websocket.connect"}, *said])

        async def receive() -> Any:
            return next(coming, {"type": "websocket.disconnect", "code": 1001})

        sent: list[Any] = []
        scope = {"type": "websocket", "path": path, "query_string": query.encode()}
        scope["headers"] = headers(host, **more)
        ran(self.guard(scope, receive, appending(sent)))
        return sent


def _frame(frame: str | bytes) -> dict[str, Any]:
    return {"text": frame} if isinstance(frame, str) else {"text": None, "bytes": frame}


def headers(host: str, **more: str) -> list[tuple[bytes, bytes]]:
    named = {"host": host} | {name.replace("_", "-"): value for name, value in more.items()}
    return [(name.encode(), value.encode()) for name, value in named.items()]


def appending(sent: list[Any]) -> Any:
    async def send(message: Any) -> None:
        sent.append(message)

    return send


async def never() -> Any:
    raise AssertionError


@pytest.mark.parametrize("host", OWN)
def test_its_own_names_are_answered(host: str) -> None:
    assert Behind().answers(host=host)[:2] == (200, "the page")


@pytest.mark.parametrize("host", FOREIGN)
def test_another_name_reads_nothing_and_opens_nothing(host: str) -> None:
    behind = Behind()
    for path in ("/", "/_nicegui/3/static/nicegui.js"):
        status, text, _ = behind.answers(path, host=host)
        assert (status, "DOMINATION_MONITOR_URL" in text) == (421, True)
    assert behind.hears(host=host) == [{"type": "websocket.close", "code": 1008}]
    assert behind.asked == []


def test_a_request_with_two_hosts_or_none_is_refused() -> None:
    for given in ([], [(b"host", b"localhost"), (b"host", b"localhost")]):
        sent: list[Any] = []
        scope = {"type": "http", "method": "GET", "path": "/", "query_string": b""}
        ran(Behind().guard(scope | {"headers": given}, never, appending(sent)))
        assert sent[0]["status"] == 421


def test_the_bound_name_is_its_own_and_on_all_addresses_each_address_is() -> None:
    assert Behind("192.0.2.1").answers(host="192.0.2.1:8080")[0] == 200
    assert Behind("here.example").answers(host="HERE.example")[0] == 200
    for bound in ("0.0.0.0", "::"):
        behind = Behind(bound)
        assert behind.answers(host="192.0.2.1:8080")[0] == 200
        assert behind.answers(host="[2001:db8::1]:8080")[0] == 200
        assert behind.answers(host="evil.example")[0] == 421


@pytest.mark.parametrize(
    ("host", "origin", "own"),
    [
        ("localhost:8080", "http://localhost:8080", True),
        ("localhost", "http://localhost", True),
        ("localhost:80", "http://localhost", True),
        ("localhost:8080", "http://localhost:3000", False),
        ("localhost:8080", "http://127.0.0.1:8080", False),
        ("localhost:8080", "https://localhost:8080", False),
        ("localhost:8080", "http://evil.example", False),
        ("localhost:8080", "null", False),
        ("localhost:8080", "", False),
        # Behind a proxy that passes its name on, and behind one that does not.
        ("monitor.example.com", "https://monitor.example.com", True),
        ("localhost:8080", "https://monitor.example.com", True),
        ("monitor.example.com", "http://monitor.example.com", False),
        ("monitor.example.com", "https://monitor.example.com:444", False),
        ("monitor.example.com", "https://evil.example", False),
    ],
)
def test_another_origin_reads_nothing_and_opens_no_socket(
    host: str, origin: str, *, own: bool
) -> None:
    behind = Behind(url=PAGE)
    status, _, told = behind.answers(host=host, origin=origin)
    assert status == (200 if own else 403)
    assert not [name for name in told if name.startswith("access-control")]
    opened = behind.hears(host=host, origin=origin)[0]["type"]
    assert opened == ("websocket.accept" if own else "websocket.close")
    assert len(behind.asked) == (2 if own else 0)


def test_a_page_of_another_origin_may_link_to_it_and_embed_nothing() -> None:
    for site in ("cross-site", "same-site"):
        for part in ("image", "iframe", "script", "empty"):
            assert Behind().answers(sec_fetch_site=site, sec_fetch_dest=part)[0] == 403
        assert Behind().answers(sec_fetch_site=site, sec_fetch_dest="document")[0] == 200
    assert Behind().answers(sec_fetch_site="same-origin", sec_fetch_dest="script")[0] == 200


def test_its_path_behind_a_proxy_is_that_of_the_setting_whatever_a_header_says() -> None:
    for url, prefix in (("", ""), (PAGE, "/domination"), ("https://host/", "")):
        behind = Behind(url=url)
        for path in ("/", f"{prefix}/", prefix or "/", f"{prefix}/_nicegui/x", "/_nicegui/x"):
            told = {"x_forwarded_prefix": "//evil.example", "x_forwarded_host": "evil.example"}
            assert behind.answers(path, **told)[0] == 200
            given = [each for each in behind.asked[-1]["headers"] if each[0].startswith(b"x-")]
            assert given == [(b"x-forwarded-prefix", prefix.encode())]
            assert behind.asked[-1]["path"] == ("/_nicegui/x" if "_nicegui" in path else "/")
        behind.hears(path=f"{prefix}/_nicegui_ws/socket.io/")
        assert behind.asked[-1]["path"] == "/_nicegui_ws/socket.io/"
    assert Behind(url=PAGE).answers("/dominations/")[0] == 404


def test_there_is_one_page_and_it_is_only_read() -> None:
    behind = Behind()
    for path in ("/x", "//", "/_nicegui_ws/socket.io/", "/_nicegui", "/docs", "/favicon.ico"):
        assert behind.answers(path)[0] == 404
    for method in ("POST", "OPTIONS", "HEAD", "PUT"):
        assert behind.answers(method=method)[0] == 405
    assert behind.asked == []


def test_each_answer_says_what_a_browser_may_do_with_it() -> None:
    for path in ("/", "/x", "/healthz"):
        told = Behind().answers(path)[2]
        assert "frame-ancestors 'none'" in told["content-security-policy"]
        assert "default-src 'none'" in told["content-security-policy"]
        assert told["x-content-type-options"] == "nosniff"
        assert told["referrer-policy"] == "no-referrer"


def test_its_health_is_told_whoever_asks_however_many_look() -> None:
    behind = Behind(viewers=MOST_VIEWERS)
    _, text, told = behind.answers("/healthz", host="10.0.0.7:8080", origin="http://evil.example")
    assert json.loads(text) == {"alive": True}
    assert told["content-type"] == "application/json"
    assert behind.asked == []


def test_one_viewer_more_than_it_serves_is_told_so() -> None:
    assert Behind(viewers=MOST_VIEWERS - 1).answers()[0] == 200
    behind = Behind(viewers=MOST_VIEWERS)
    status, text, told = behind.answers()
    assert (status, text.count("."), told["refresh"]) == (503, 1, "10")
    assert f"{MOST_VIEWERS} people" in text
    assert behind.answers("/_nicegui/x")[0] == 200


def test_those_who_come_at_the_same_moment_count_as_well() -> None:
    behind = Behind(viewers=MOST_VIEWERS - 3)

    async def five() -> list[int]:
        behind.wait = asyncio.Event()
        asking = [asyncio.create_task(behind.asks()) for _ in range(5)]
        await asyncio.sleep(0)
        behind.wait.set()
        return [status for status, _, _ in await asyncio.gather(*asking)]

    assert sorted(ran(five())) == [200, 200, 200, 503, 503]
    assert behind.answers()[0] == 200


def test_sockets_are_bounded() -> None:
    behind = Behind()

    async def many() -> list[Any]:
        behind.wait = asyncio.Event()
        sent: list[Any] = []
        scope = {"type": "websocket", "path": "/_nicegui_ws/socket.io/"}
        scope |= {"query_string": QUERY.encode(), "headers": headers("localhost")}  # type: ignore[dict-item]

        async def gone() -> Any:
            return {"type": "websocket.disconnect", "code": 1001}

        open_ = [
            asyncio.create_task(behind.guard(scope, gone, appending(sent)))
            for _ in range(MOST_SOCKETS + 2)
        ]
        await asyncio.sleep(0)
        refused = list(sent)
        behind.wait.set()
        await asyncio.gather(*open_)
        return refused

    assert ran(many()) == [{"type": "websocket.close", "code": 1008}] * 2
    assert behind.hears()[0] == {"type": "websocket.accept"}


@pytest.mark.parametrize(
    "query",
    [
        "EIO=4&transport=websocket",
        *(QUERY.replace(each, f"x{each}") for each in QUERY.split("&")),
        QUERY.replace("client_id=a-1", "client_id=a&client_id=b"),
        QUERY.replace("client_id=a-1", "client_id=%1b%0a"),
        QUERY.replace("client_id=a-1", f"client_id={'a' * 65}"),
        QUERY.replace("next_message_id=0", "next_message_id=x"),
        QUERY.replace("websocket", "polling"),
        QUERY + "&sid=x",
        QUERY + "&x=1" * 50,
        QUERY + "&x=ü",
    ],
)
def test_a_socket_that_no_page_opens_is_refused(query: str) -> None:
    behind = Behind()
    assert behind.hears(query=query) == [{"type": "websocket.close", "code": 1008}]
    assert behind.asked == []


def test_a_page_says_that_it_connects_is_alive_and_has_read_and_nothing_else_goes_on() -> None:
    behind = Behind()
    behind.hears(
        *("40", "3", ACK, "40", "40/x,", '40{"a":', "2", "4", "", "42", '42["ack",{}]', b"\x04x"),
        *('42["log",{"client_id":"a-1","level":"error","message":"\\u001b[2J"}]', "51-x", "x" * 9),
        *('42["handshake",{}]', '42["event",{"client_id":"a-1"}]', f"3{' ' * LONGEST_FRAME}"),
        *(ACK.replace("12", "1" * 16), ACK + "\n", "41"),
    )
    assert behind.frames == ["40", "3", ACK, "41"]


@pytest.mark.parametrize("frame", ["3", "x", ACK])
def test_a_socket_that_says_too_much_is_ended(frame: str) -> None:
    behind = Behind()
    assert behind.hears(*[frame] * 10_000)[-1] == {"type": "websocket.close", "code": 1008}
    assert len(behind.frames) < 50


def test_a_socket_whose_client_does_not_read_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("domination.monitor.guard._UNREAD_SECONDS", 0.01)

    async def stuck(_: Any) -> None:
        await asyncio.Event().wait()

    async def reads_on(_scope: Any, receive: Any, send: Any) -> None:
        with suppress(asyncio.TimeoutError):
            await send({"type": "websocket.accept"})
        await receive()

    async def opened() -> None:
        scope = {"type": "websocket", "path": "/_nicegui_ws/socket.io/"}
        scope |= {"query_string": QUERY.encode(), "headers": headers("localhost")}  # type: ignore[dict-item]
        guard = Guard(reads_on, access(["localhost"], ""), lambda: 0)
        task = asyncio.create_task(guard(scope, asyncio.Event().wait, stuck))  # type: ignore[arg-type]
        await asyncio.wait([task], timeout=30)
        assert task.cancelled()

    ran(opened())
