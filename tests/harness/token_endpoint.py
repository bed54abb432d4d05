"""An identity provider's token endpoint (RFC 6749, 4.4), and tokens that the secure Kafka takes."""

from __future__ import annotations

import base64
import json
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Asked = tuple[str, dict[str, list[str]]]
"""The header Authorization, and the form or the query."""
LIFE_SECONDS: Final = 3_600


def token(user: str, algorithm: str = "none") -> str:
    """Give a token of a user without a signature (RFC 7519, 6), whatever it says of that."""
    now = int(time.time())
    claims = {"sub": user, "iat": now, "exp": now + LIFE_SECONDS}
    return f"{_part({'alg': algorithm})}.{_part(claims)}."


def _part(content: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()


def basic(client: str, secret: str) -> str:
    """Give the header Authorization of a client."""
    return f"Basic {base64.b64encode(f'{client}:{secret}'.encode()).decode()}"


@contextmanager
def token_endpoint(answer: Callable[[Asked], tuple[int, bytes]]) -> Iterator[str]:
    """Answer with a status and a body whoever asks for a token; yield the endpoint's address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._tell(urlsplit(self.path).query)

        def do_POST(self) -> None:
            self._tell(self.rfile.read(int(self.headers.get("Content-Length", 0))).decode())

        def _tell(self, form: str) -> None:
            status, body = answer((self.headers.get("Authorization", ""), parse_qs(form)))
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/token"
        server.shutdown()
