"""The connections to the page's server, bounded: silent clients keep nobody else out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    import asyncio

MOST_CONNECTIONS: Final = 512
"""A browser has six of them while it loads the page. WebSockets are not among them."""


class Connection(H11Protocol):
    """A connection of HTTP: while there are too many, a new one takes the place of the oldest.

    h11 bounds what a request's head may hold.
    """

    _since = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a new connection."""
        super().connection_made(transport)
        self._since = self.loop.time()
        others = [each for each in self.connections if isinstance(each, Connection)]
        if len(others) > MOST_CONNECTIONS:
            oldest = min(others, key=lambda each: each._since)
            self.connections.discard(oldest)
            oldest.transport.abort()
