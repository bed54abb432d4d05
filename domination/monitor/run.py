"""The command `monitor`: what is readings of both servers, and the page of it, until a signal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from domination import log
from domination.clickhouse.server import Server
from domination.errors import Exit
from domination.monitor.probe import probing
from domination.monitor.rows import Tables
from domination.monitor.server import listen, serving
from domination.monitor.topics import TopicsProbe
from domination.worker.lifecycle import Lifecycle

if TYPE_CHECKING:
    from collections.abc import Callable

    from domination.settings import Settings

_ANSWER_SECONDS: Final = 10


def run(settings: Settings, say: Callable[[str], None]) -> Exit:
    """Serve the page until SIGTERM or Ctrl-C; it starts without both servers as well."""
    log.configure(settings)
    lifecycle = Lifecycle()
    lifecycle.stop_on_signals()
    host, port = settings.monitor_address
    listening = listen(host, port)
    tables = Tables(Server(settings, _ANSWER_SECONDS))
    topics = TopicsProbe(settings)
    with (
        probing(topics.look, tables.look) as read,
        serving(listening, read, host, settings.monitor_url) as address,
    ):
        say(f"Domination at {address}")
        lifecycle.wait()
    return Exit.OK
