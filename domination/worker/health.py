"""Where a process can be asked whether it lives, whether it is ready, and what it has counted."""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING, Any, ClassVar, Final

from prometheus_client import make_wsgi_app

from domination.errors import DominationError, Exit
from domination.log import logger
from domination.worker.server import listen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from domination.exactly_once.session import Session
    from domination.settings import Settings
    from domination.worker.lifecycle import Lifecycle
    from domination.worker.metrics import Metrics

_JSON: Final = ("Content-Type", "application/json")


class Health:
    """`/healthz`, `/readyz` and `/metrics` of a process, on threads of their own.

    Nothing here asks the broker: a worker that waits for it is alive, and says so.
    """

    turn_seconds: ClassVar = 60.0
    """A worker that does not turn for so long is stuck: longer than any call that it waits for."""

    def __init__(
        self,
        settings: Settings,
        lifecycle: Lifecycle,
        metrics: Metrics,
        sessions: Mapping[int, Session],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lifecycle = lifecycle
        self._sessions = sessions
        self._clock = clock
        self._metrics = make_wsgi_app(metrics.registry)
        host, port = settings.http_address
        at = f"[{host}]" if ":" in host else host
        try:
            server = listen(host, port, self._answer)
        except OSError as error:
            raise DominationError(
                Exit.SETTING,
                f"cannot listen on {at}:{port} ({error.strerror}): set DOMINATION_HTTP to "
                "another port, or to nothing",
            ) from error
        # Started last of all, so that whatever it is asked is there.
        threading.Thread(target=server.serve_forever, name="domination-http", daemon=True).start()
        logger.info("http://%s:%s has /healthz, /readyz and /metrics", at, server.server_port)

    def _answer(self, environment: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        try:
            return self._found(environment, start)
        except Exception as error:  # noqa: BLE001 - wsgiref would print its traceback
            logger.error("bug: %s: %s", type(error).__name__, error, exc_info=error)
            start("500 Internal Server Error", [_JSON])
            return [b'{"reasons":["a bug, see the log"]}']

    def _found(self, environment: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        path = environment["PATH_INFO"]
        if path == "/metrics":
            return self._exposed(environment, start)
        if path == "/healthz":
            return _tell(start, "alive", self._stuck())
        if path == "/readyz":
            return _tell(start, "ready", self._unready())
        start("404 Not Found", [_JSON])
        return [b'{"paths":["/healthz","/readyz","/metrics"]}']

    def _exposed(self, environment: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        """Give the metrics in Prometheus' text format, whatever the client would accept.

        prometheus-client fails at an Accept header that it cannot read.
        """
        answer: Iterable[bytes] = self._metrics(environment | {"HTTP_ACCEPT": ""}, start)
        return answer

    def _stuck(self) -> list[str]:
        now = self._clock()
        return [
            f"the loop of worker {index} has not run for {now - session.turned:.0f} s"
            for index, session in list(self._sessions.items())
            if now - session.turned > self.turn_seconds
        ]

    def _unready(self) -> list[str]:
        if self._lifecycle.stopping:
            return ["ending"]
        found = [
            f"worker {index} {why}"
            for index, session in list(self._sessions.items())
            if (why := session.unready)
        ]
        return found if self._sessions else ["no worker yet"]


def _tell(start: Callable[..., Any], what: str, reasons: list[str]) -> list[bytes]:
    start("503 Service Unavailable" if reasons else "200 OK", [_JSON])
    return [json.dumps({what: not reasons, "reasons": reasons}).encode()]
