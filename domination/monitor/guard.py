"""What stands before the page: whom it answers, and what they may send. ASGI, and nothing else.

1. `/healthz` is answered at once, whoever asks.
2. A Host that is none of ours is refused (421): another name that leads here (DNS rebinding) reads
   nothing.
3. What another origin asks for is refused (403), a WebSocket before engine.io sees it.
4. There is one page, what it loads, and its WebSocket. One more viewer than it serves is told so.
5. A WebSocket may say what a page says that only shows, in small frames, a few a second. Anything
   else goes no further, so no client writes into the log.
6. No header says where the page is: its URL behind a proxy is a setting.
"""

from __future__ import annotations

import asyncio
import re
import time
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import parse_qs, urlsplit

from domination.monitor.allowance import Allowance

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, MutableMapping

    Scope = MutableMapping[str, Any]
    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    App = Callable[[Scope, Receive, Send], Awaitable[None]]

MOST_VIEWERS: Final = 50
"""Pages that are open at once, those among them that have no socket yet."""
MOST_SOCKETS: Final = 2 * MOST_VIEWERS
"""A page that comes back may have two for a while."""
LONGEST_FRAME: Final = 1_024
"""Bytes of a frame of a client; the longest of ours has a hundred."""
RETRY_SECONDS: Final = 10

_UNREAD_SECONDS: Final = 10.0
_FRAMES: Final = 30
_FRAMES_A_SECOND: Final = 5.0
_PAGE: Final = "/"
_FILES: Final = "/_nicegui/"
_SOCKET: Final = "/_nicegui_ws/socket.io/"
_HOST: Final = re.compile(r"(?:\[(?P<six>[0-9a-f:.]+)\]|(?P<name>[^\s\[\]:/@]+))(?::[0-9]{1,5})?")
_PORTS: Final = {"http": ":80", "https": ":443"}
_QUERY: Final = {
    "EIO": re.compile("4"),
    "transport": re.compile("websocket"),
    "implicit_handshake": re.compile("true"),
    "next_message_id": re.compile("[0-9]{1,15}"),
    **dict.fromkeys(("client_id", "tab_id", "document_id"), re.compile(r"[\w-]{1,64}")),
}
"""What the query of a WebSocket has to say, each once."""
_CONNECT: Final = "40"
_FRAME: Final = re.compile(
    r'[13]|41|42\["ack",\{"client_id":"[\w-]{1,64}","next_message_id":[0-9]{1,15}\}\]'
)
"""What a page says after it has connected: it leaves, it is alive, it has had these messages."""
# NiceGUI's page has scripts and styles within, and makes functions of texts.
_POLICY: Final = (
    "default-src 'none'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'self' 'unsafe-inline'; font-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = (
    (b"content-security-policy", _POLICY.encode()),
    (b"x-frame-options", b"DENY"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)


class Access(NamedTuple):
    """The names of the page."""

    hosts: frozenset[str]
    """What a Host may name, without its port."""
    any_address: bool
    """Whether it may be any IP address: the page listens on all there are."""
    proxy: str = ""
    """The host in the URL behind the proxy."""
    origin: str = ""
    """The origin of that URL."""
    prefix: str = ""
    """The path of that URL, without a slash at its end."""

    def knows(self, host: str) -> bool:
        """Tell whether a host is one of the page's."""
        return host in self.hosts or (self.any_address and _is_address(host))


def access(bound: Iterable[str], url: str) -> Access:
    """Say how a page is reached that is bound to these, and is at a URL behind a proxy, if any."""
    own = {_plain(each) for each in bound}
    found = urlsplit(url)
    proxy = found.hostname or ""
    return Access(
        frozenset({"localhost", "127.0.0.1", "::1", *own, *filter(None, [proxy])}),
        any(_is_address(each) and ip_address(each).is_unspecified for each in own),
        proxy,
        _origin(found.scheme, found.netloc.lower()) if proxy else "",
        found.path.rstrip("/"),
    )


def _origin(scheme: str, netloc: str) -> str:
    """Write an origin as browsers do: without the port that its scheme has anyway."""
    return f"{scheme}://{netloc.removesuffix(_PORTS[scheme])}"


class Answer(NamedTuple):
    """An answer of the guard's own."""

    status: int
    text: str
    headers: tuple[tuple[bytes, bytes], ...] = ()


_HEALTHY: Final = Answer(200, '{"alive": true}')
_ELSEWHERE: Final = Answer(
    421,
    "This page is not known by this name. DOMINATION_MONITOR_URL names its URL behind a proxy.",
)
_FOREIGN: Final = Answer(
    403,
    "Another site asks for this page. DOMINATION_MONITOR_URL names its URL behind a proxy.",
)
_NOT_SO: Final = Answer(405, "This page can only be read.", ((b"allow", b"GET"),))
_NOTHING: Final = Answer(404, "Nothing is here.")
_FULL: Final = Answer(
    503,
    f"{MOST_VIEWERS} people look at this page, as many as it serves; it tries again by itself.",
    tuple((name, b"%d" % RETRY_SECONDS) for name in (b"retry-after", b"refresh")),
)


class Guard:
    """An application that has another behind it, and passes on what that may see.

    `viewers` counts the pages that are open.
    """

    def __init__(self, app: App, names: Access, viewers: Callable[[], int]) -> None:
        self.app = app
        self._names = names
        self._viewers = viewers
        self._drawing = 0
        self._sockets = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or let the application answer."""
        if scope["type"] == "http":
            await self._http(scope, receive, _with_headers(send))
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = self._path(scope)
        if answer := self._answer(scope, path):
            await _send(answer, send)
        elif path != _PAGE:
            await self.app(self._trusted(scope, path), receive, send)
        elif self._viewers() + self._drawing >= MOST_VIEWERS:
            await _send(_FULL, send)
        else:
            self._drawing += 1
            try:
                await self.app(self._trusted(scope, path), receive, send)
            finally:
                self._drawing -= 1

    def _answer(self, scope: Scope, path: str) -> Answer | None:
        """Give the answer to what the application need not see."""
        if path == "/healthz":
            return _HEALTHY
        if (host := _host(scope)) is None or not self._names.knows(host):
            return _ELSEWHERE
        if self._is_foreign(scope, host) or _is_embedded(scope):
            return _FOREIGN
        if scope["method"] != "GET":
            return _NOT_SO
        return None if path == _PAGE or path.startswith(_FILES) else _NOTHING

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = self._path(scope)
        host = _host(scope)
        if (
            host is None
            or not self._names.knows(host)
            or self._is_foreign(scope, host)
            or path not in (_SOCKET, _SOCKET.rstrip("/"))
            or not _fits(scope["query_string"])
            or self._sockets >= MOST_SOCKETS
        ):
            await send({"type": "websocket.close", "code": 1008})
            return
        self._sockets += 1
        try:
            guarded = _Socket(receive, send)
            await self.app(self._trusted(scope, path), guarded.receive, guarded.send)
        finally:
            self._sockets -= 1

    def _path(self, scope: Scope) -> str:
        """Give the path without the proxy's, which that may have taken off itself."""
        path: str = scope["path"]
        prefix = self._names.prefix
        return path[len(prefix) :] or "/" if f"{path}/".startswith(f"{prefix}/") else path

    def _is_foreign(self, scope: Scope, host: str) -> bool:
        """Tell whether a page of another origin asks. What is no browser names none."""
        origins = _values(scope, b"origin")
        if not origins:
            return False
        (own,) = _values(scope, b"host")
        known = {self._names.origin} if host == self._names.proxy else {_origin("http", own)}
        return len(origins) > 1 or origins[0] not in known | {self._names.origin}

    def _trusted(self, scope: Scope, path: str) -> Scope:
        """Give the application what it may believe."""
        headers = [(name, value) for name, value in scope["headers"] if name not in _UNTRUSTED]
        headers.append((b"x-forwarded-prefix", self._names.prefix.encode()))
        query = scope["query_string"] if scope["type"] == "websocket" else b""
        changed = {"path": path, "raw_path": path.encode(), "root_path": "", "headers": headers}
        return {**scope, **changed, "query_string": query}


_UNTRUSTED: Final = frozenset(
    {
        *(b"x-forwarded-" + name for name in (b"prefix", b"host", b"proto", b"for", b"port")),
        # A page that is fetched ahead would shake hands in another way.
        *(b"purpose", b"sec-purpose"),
    }
)


class _Socket:
    """A WebSocket, of which the application sees only what a page of ours would do."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._frames = Allowance(_FRAMES, _FRAMES_A_SECOND, time.monotonic)
        self._connected = False
        self._task = asyncio.current_task()

    async def receive(self) -> Message:
        """Wait for what the application may see; end a socket that says too much."""
        while True:
            message = await self._receive()
            if message["type"] != "websocket.receive" or self._passes(message.get("text")):
                return message
            if not self._frames.take():
                return {"type": "websocket.disconnect", "code": 1008}

    async def send(self, message: Message) -> None:
        """Send, and end a socket whose client does not read: its messages would pile up."""
        try:
            await asyncio.wait_for(self._send(message), _UNREAD_SECONDS)
        except asyncio.TimeoutError:
            if self._task:
                self._task.cancel()
            raise

    def _passes(self, text: str | None) -> bool:
        if text == _CONNECT and not self._connected:
            self._connected = True
            return True
        return bool(text and _FRAME.fullmatch(text)) and self._frames.take()


def _host(scope: Scope) -> str | None:
    """Give the name in the one Host that a request has, without its port."""
    values = _values(scope, b"host")
    found = _HOST.fullmatch(values[0]) if len(values) == 1 else None
    return found and _plain(found["six"] or found["name"])


def _plain(host: str) -> str:
    """Write a host as others that mean the same are written."""
    try:
        return str(ip_address(host))
    except ValueError:
        return host.lower().removesuffix(".")


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _is_embedded(scope: Scope) -> bool:
    """Tell whether a page of another origin asks for a part of itself: a link to ours is none."""
    sites, parts = _values(scope, b"sec-fetch-site"), _values(scope, b"sec-fetch-dest")
    return not {*sites} <= {"same-origin", "none"} and parts != ["document"]


def _values(scope: Scope, header: bytes) -> list[str]:
    return [value.decode("latin-1").lower() for name, value in scope["headers"] if name == header]


def _fits(query: bytes) -> bool:
    """Tell whether the query of a WebSocket is that of a page."""
    try:
        found = parse_qs(query.decode("ascii"), max_num_fields=20)
    except ValueError:
        return False
    return "sid" not in found and all(
        len(values := found.get(name, [])) == 1 and form.fullmatch(values[0])
        for name, form in _QUERY.items()
    )


async def _send(answer: Answer, send: Send) -> None:
    kind = b"application/json" if answer is _HEALTHY else b"text/plain; charset=utf-8"
    body = answer.text.encode()
    size = b"%d" % len(body)
    headers = [(b"content-type", kind), (b"content-length", size), (b"cache-control", b"no-store")]
    headers += answer.headers
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _with_headers(send: Send) -> Send:
    """Send with the headers that tell a browser what this page may do, and who may have it."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", []), *_HEADERS]}
        await send(message)

    return sending
