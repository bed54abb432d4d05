"""The HTTP server of a worker: the standard library's, with bounds on what its clients hold.

At most `MOST_CONNECTIONS` are open: a new one takes the place of the oldest. So clients that stay
silent, or send a byte now and then, keep nobody else out.
"""

from __future__ import annotations

import io
import socket
import sys
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar, Final
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client.exposition import ThreadingWSGIServer

from domination.log import logger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from wsgiref.simple_server import WSGIServer

MOST_CONNECTIONS: Final = 32
_PAUSE_SECONDS: Final = 0.2


def listen(host: str, port: int, app: Callable[..., Iterable[bytes]]) -> WSGIServer:
    """Listen on an address (port 0: a free one); raises an `OSError` where that fails."""
    return make_server(host, port, app, _Six if ":" in host else _Server, Handler)


class Handler(WSGIRequestHandler):
    """Answers one connection, and says nothing of it."""

    timeout: ClassVar = 5.0
    """How long to wait for a client that neither sends nor reads, in seconds."""

    def log_message(self, *_: object) -> None:
        """Log no request: there is one each few seconds."""

    def get_stderr(self) -> Any:
        """Drop the traceback that wsgiref writes when a client does not take its answer."""
        return io.StringIO()


class _Server(ThreadingWSGIServer):
    request_queue_size = 128

    def __init__(self, *arguments: Any) -> None:
        self._lock = threading.Lock()
        self._open: dict[Any, None] = {}
        super().__init__(*arguments)

    def get_request(self) -> tuple[Any, Any]:
        try:
            return super().get_request()
        except OSError:
            # Without a free file handle the next try comes at once, over and over.
            time.sleep(_PAUSE_SECONDS)
            raise

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            if len(self._open) >= MOST_CONNECTIONS:
                self._drop(next(iter(self._open)))
            self._open[request] = None
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._open.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - its base's
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):  # That the client has gone, or is silent, is its matter.
            logger.error("an HTTP request failed: %s: %s", type(error).__name__, error)

    def _drop(self, request: Any) -> None:
        """End a connection; the thread that waits for it closes it."""
        del self._open[request]
        with suppress(OSError):
            request.shutdown(socket.SHUT_RDWR)


class _Six(_Server):
    address_family = socket.AF_INET6
