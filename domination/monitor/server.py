"""The page of the monitor, served by NiceGUI.

It brings every script, style and font itself, ECharts among them, follows the system's light and
dark, comes back by itself when a connection is lost, and is the lighter one: 105 MB with all it
needs and 1.2 s to import, where Panel on Bokeh takes 370 MB and 2.1 s.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import uvicorn
from fastapi import FastAPI
from nicegui import ui

from domination.errors import DominationError, Exit
from domination.monitor import charts, html

if TYPE_CHECKING:
    from collections.abc import Iterator

    from domination.monitor.probe import Readings

_Draw = Callable[["Readings"], None]

_DRAW_SECONDS: Final = 1.0
_STYLE: Final = (Path(__file__).parent / "page.css").read_text(encoding="utf-8")
_ICON: Final = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">'
    '<rect width="32" height="32" rx="7" fill="#111827"/>'
    '<path d="M9 7h6a9 9 0 0 1 0 18H9z" fill="#e69f00"/></svg>'
)


def listen(host: str, port: int) -> socket.socket:
    """Take a port (0: a free one); 78 where it cannot be had."""
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
def serving(listening: socket.socket, see: Callable[[], Readings]) -> Iterator[str]:
    """Serve the page of what is readings, on a thread; yield its address once it answers."""
    app = FastAPI(openapi_url=None)
    app.add_api_route("/healthz", lambda: {"alive": True})
    ui.run_with(
        app,
        root=lambda: _draw(see),
        title="Domination",
        favicon=_ICON,
        dark=None,
        language="en-US",
        tailwind=False,
        show_welcome_message=False,
    )
    server = uvicorn.Server(
        uvicorn.Config(app, log_config=None, log_level="error", timeout_graceful_shutdown=1)
    )
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    try:
        while not server.started and thread.is_alive():
            thread.join(0.02)
        if not server.started:
            raise RuntimeError("the page's server did not start")
        host, port, *_ = listening.getsockname()
        yield f"http://{f'[{host}]' if ':' in host else host}:{port}"
    finally:
        server.should_exit = True
        thread.join(5)


def _draw(see: Callable[[], Readings]) -> None:
    """Draw the page for one who looks, and again and again with what is readings then."""
    readings = see()
    ui.add_css(_STYLE)
    with ui.element("header"):
        ui.html("Domination", tag="h1", sanitize=False)
        again = [_text(html.status, readings, "status", 'role="status"')]
    with ui.element("main"):
        again.append(_text(html.figures, readings, "figures", tag="dl"))
        for card in html.CARDS:
            again.extend(_card(card, readings))

    def draw() -> None:
        now = see()
        for each in again:
            each(now)

    ui.timer(_DRAW_SECONDS, draw)


def _card(card: html.Card, readings: Readings) -> Iterator[_Draw]:
    with ui.element("section").classes(f"card {card.name}") as section:
        yield _text(lambda now: html.head(card, now), readings, "head")
        if card.chart:
            yield _chart(card.chart, readings, card.says)
        else:
            yield _text(card.html, readings, "body")

    def fade(now: Readings) -> None:
        section.classes(**{"add" if html.stale(card, now) else "remove": "stale"})

    fade(readings)
    yield fade


def _text(
    of: Callable[[Readings], str], readings: Readings, name: str, props: str = "", tag: str = "div"
) -> _Draw:
    # html.py has escaped what is not ours.
    html = ui.html(of(readings), sanitize=False, tag=tag).classes(name).props(props)

    def draw(now: Readings) -> None:
        html.set_content(of(now))

    return draw


def _chart(of: Callable[[Readings], charts.Options], readings: Readings, says: str) -> _Draw:
    chart = ui.echart(of(readings), renderer="svg").props(f'role="img" aria-label="{says}"')

    def draw(now: Readings) -> None:
        if (options := of(now)) != chart.options:
            chart.options.update(options)
            chart.update()

    return draw
