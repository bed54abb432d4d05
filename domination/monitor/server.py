"""The page of the monitor, served by NiceGUI.

NiceGUI serves every script, style and font itself, ECharts among them. It follows the system's
light and dark, and connects again after a connection is lost. With its dependencies it takes 105 MB
and 1.2 s to import; Panel on Bokeh takes 370 MB and 2.1 s.
"""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import uvicorn
from fastapi import FastAPI
from fastapi.exception_handlers import http_exception_handler
from nicegui import Client, core, ui

from domination.errors import DominationError, Exit
from domination.monitor import foreign_log, page
from domination.monitor.connections import Connection
from domination.monitor.guard import LONGEST_FRAME, Guard, access

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from domination.monitor.charts import Options
    from domination.monitor.reading import Readings

_DRAW_SECONDS: Final = 1.0
_POLL_SECONDS: Final = 0.02
_END_SECONDS: Final = 5
# A slow phone loads the scripts for longer; it finds them in its cache when it comes again.
_ALONE_SECONDS: Final = 10.0
_LOOK_SECONDS: Final = 2.0
_STYLE: Final = (Path(__file__).parent / "page.css").read_text(encoding="utf-8")
_ICON: Final = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">'
    '<rect width="32" height="32" rx="7" fill="#111827"/>'
    '<path d="M9 7h6a9 9 0 0 1 0 18H9z" fill="#e69f00"/></svg>'
)


def listen(host: str, port: int) -> socket.socket:
    """Listen on a port (0: a free one). Raises `DominationError` (78) where that fails."""
    try:
        return socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET
        )
    except OSError as error:
        raise DominationError(
            Exit.SETTING,
            f"cannot listen on {host}:{port} ({error.strerror}): set DOMINATION_MONITOR to "
            "another port",
        ) from error


@contextmanager
def serving(
    listening: socket.socket, read: Callable[[], Readings], host: str = "", url: str = ""
) -> Iterator[str]:
    """Serve the page of the readings on a thread; yield its address once it answers.

    `host` is what the socket was bound by, `url` that of the page behind a proxy.
    """
    foreign_log.shorten()
    names = access(filter(None, [host, listening.getsockname()[0]]), url)
    config = uvicorn.Config(
        Guard(_app(read), names, lambda: len(Client.instances)),
        http=Connection,
        log_config=None,
        log_level="error",
        # They believe who asks.
        proxy_headers=False,
        ws_max_size=LONGEST_FRAME,
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    try:
        while not server.started and thread.is_alive():
            thread.join(_POLL_SECONDS)
        if not server.started:
            raise RuntimeError("the page's server did not start")
        yield _address(listening)
    finally:
        server.should_exit = True
        thread.join(_END_SECONDS)


def _address(listening: socket.socket) -> str:
    host, port, *_ = listening.getsockname()
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _app(read: Callable[[], Readings]) -> FastAPI:
    app = FastAPI(openapi_url=None)
    # The guard lets no long polling through, which would tell other origins that they may read.
    core.app.config.socket_io_js_transports = ["websocket"]
    # A bar that shows what the page loads has no name for those who hear it.
    core.app.config.quasar_config["loadingBar"]["skipHijack"] = True
    # NiceGUI draws a page for whatever there is not.
    core.app.add_exception_handler(404, http_exception_handler)  # type: ignore[arg-type]
    core.app.timer(_LOOK_SECONDS, _drop_those_alone)
    ui.page("/")(lambda: _draw(read))
    ui.run_with(
        app,
        title="Domination",
        favicon=_ICON,
        dark=None,
        language="en-US",
        tailwind=False,
        show_welcome_message=False,
    )
    return app


def _drop_those_alone() -> None:
    """Drop the pages that nobody has opened a socket for."""
    Client.prune_instances(client_age_threshold=_ALONE_SECONDS)


def _draw(read: Callable[[], Readings]) -> None:
    """Draw the page for one reader, and again each second."""
    ui.add_css(_STYLE)
    with ui.element("header"):
        ui.html("Domination", tag="h1", sanitize=False)
        status = _text().classes("status").props('role="status"')
    with ui.element("div").classes("cards") as cards:
        sections = [_Section(card) for card in page.CARDS]

    def draw() -> None:
        now = read()
        status.set_content(page.draw("status", now))
        for source in now:
            down = source.down_since is not None
            cards.classes(**{"add" if down else "remove": f"no-{source.name.lower()}"})
        for section in sections:
            section.draw(now)

    draw()
    ui.timer(_DRAW_SECONDS, draw)


class _Section:
    """A card on the page; it is seen once it has something to show."""

    def __init__(self, card: page.Card) -> None:
        self._card = card
        self._chart: ui.echart | None = None
        self._section = ui.element("section").classes(f"card {card.name.replace('_', '-')}")
        with self._section:
            self._text = _text()

    def draw(self, now: Readings) -> None:
        """Draw the readings."""
        text = page.draw(self._card.name, now)
        options = self._card.chart(now) if self._card.chart else {}
        self._text.set_content(text)
        self._section.set_visibility(bool(text) and options is not None)
        if options:
            self._draw_chart(options)

    def _draw_chart(self, options: Options) -> None:
        if self._chart is None:
            # Not before: ECharts complains of an element without a size.
            with self._section:
                self._chart = ui.echart(options, renderer="svg")
            self._chart.props(f'role="img" aria-label="{self._card.says}"')
        elif options != self._chart.options:
            self._chart.options.update(options)
            self._chart.update()


def _text() -> ui.html:
    # Not sanitized: page.html escapes whatever is not ours.
    return ui.html(sanitize=False)
