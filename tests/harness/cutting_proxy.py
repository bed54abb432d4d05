"""A way to a server that is cut after some bytes of its answer, as when the server ends."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress

from harness.door import Door


class CuttingProxy:
    """Listens on 127.0.0.1; each connection carries `count` bytes of the server's, no more."""

    def __init__(self, address: str, count: int) -> None:
        host, _, port = address.partition(":")
        self._server = (host, int(port))
        self._count = count
        self._door = Door(self._take)
        self.address = f"127.0.0.1:{self._door.port}"

    def close(self) -> None:
        self._door.close()

    def _take(self, client: socket.socket) -> None:
        server = socket.create_connection(self._server)
        pairs = ((client, server, None), (server, client, self._count))
        for pair in pairs:
            threading.Thread(target=_carry, args=pair, daemon=True).start()


def _carry(source: socket.socket, target: socket.socket, count: int | None) -> None:
    with suppress(OSError):
        while (count is None or count > 0) and (data := source.recv(count or 4096)):
            target.sendall(data)
            count = None if count is None else count - len(data)
    for each in (source, target):
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
        each.close()
