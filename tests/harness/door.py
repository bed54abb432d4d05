"""A listener on 127.0.0.1 that hands its connections to a proxy."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Door:
    """Gives each connection to `take`, one after the other; one that it cannot carry is closed."""

    def __init__(self, take: Callable[[socket.socket], object]) -> None:
        self._take = take
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                try:
                    self._take(client)
                except OSError:
                    client.close()
