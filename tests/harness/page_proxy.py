"""A reverse proxy with a path, as one that people put before a page: it takes the path off."""

from __future__ import annotations

import re
import socket
import threading
from contextlib import suppress

from harness.door import Door

_ENDS = b"\r\n\r\n"


class PageProxy:
    """Listens on 127.0.0.1; a request for the path goes to the server, any other gets a 404.

    `host` is the Host that the server is told; empty: the client's own.
    """

    def __init__(self, server: tuple[str, int], path: str) -> None:
        self.server = server
        self._path = path.encode()
        self.host = ""
        self._door = Door(self._take)
        self.port = self._door.port

    def close(self) -> None:
        self._door.close()

    def _take(self, client: socket.socket) -> None:
        threading.Thread(target=self._carry, args=(client,), daemon=True).start()

    def _carry(self, client: socket.socket) -> None:
        with suppress(OSError), client:
            asked = b""
            while _ENDS not in asked:
                if not (data := client.recv(4096)):
                    return
                asked += data
            if (passed := self._changed(asked)) is None:
                client.sendall(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")
                return
            with socket.create_connection(self.server) as server:
                server.sendall(passed)
                back = threading.Thread(target=_copy, args=(server, client), daemon=True)
                back.start()
                _copy(client, server)
                back.join()

    def _changed(self, asked: bytes) -> bytes | None:
        """Take the path off; one request a connection, unless it becomes a WebSocket."""
        found = re.match(rb"(\w+ )" + re.escape(self._path) + rb"(/\S* HTTP/1.1\r\n)", asked)
        if found is None:
            return None
        asked = b"".join(found.groups()) + asked[found.end() :]
        if self.host:
            host = b"\r\nHost: " + self.host.encode()
            asked = re.sub(rb"(?i)\r\nhost:[^\r]*", host, asked, count=1)
        if not re.search(rb"(?i)\r\nupgrade:", asked):
            asked = re.sub(rb"(?i)\r\nconnection:[^\r]*", b"", asked)
            asked = asked.replace(_ENDS, b"\r\nConnection: close" + _ENDS, 1)
        return asked


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
