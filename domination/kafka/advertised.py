"""The addresses that brokers advertise, as their client learns them.

A client begins with the addresses that it is given. As soon as a broker tells its own, the client
drops the first ones, even if nobody answers at the others, and what was asked meanwhile is lost.
Only the client's log tells where it has turned to.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from domination.kafka.client_log import ClientLog

# Those that the client is given have the NodeId -1.
_LEARNED: Final = re.compile(r": (?:\w+://)?(\S+)/\d+: Added new broker with NodeId \d")
_DEBUG: Final = "broker"
_EVERYTHING: Final = 7


class Advertised:
    """The logger of one client: it notes the addresses that the client learns."""

    def __init__(self, log: ClientLog) -> None:
        self._log = log
        self.addresses: dict[str, None] = {}
        """In order, each once."""

    def config(self, properties: Mapping[str, Any]) -> dict[str, Any]:
        """Give what makes a client with these properties tell, once it is polled."""
        asked = properties.get("debug")
        return {
            "debug": f"{asked},{_DEBUG}" if asked else _DEBUG,
            "log_level": _EVERYTHING,
        }

    def log(self, level: int, form: str, facility: str, client: str, text: str) -> None:
        """Take a line of the client's log."""
        if found := _LEARNED.search(text):
            self.addresses[found[1]] = None
        if level >= logging.CRITICAL:
            self._log.log(level, form, facility, client, text)
