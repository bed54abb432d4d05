"""A stable name for each worker: its transactional id and its static membership in the group.

Kafka settles what a crashed worker left open as soon as the same name comes back, instead of after
a time-out; so a restart must find its name again, and two live workers must never share one.
"""

from __future__ import annotations

import errno
import hashlib
import socket
from itertools import count

from domination.exactly_once.errors import NoNameError
from domination.exactly_once.options import id_prefix


class Identity:
    """A worker's name: that of its instance, and behind the prefix of its group its id.

    `instance` may be given, and then Kafka decides between two of the same name: the newer one
    wins. The worker is `{instance}-{worker index}`. Otherwise it is `{host}-{slot}.{worker index}`,
    which no given name can be, with the first slot that no live worker of this host has. Raises
    `NoNameError` where the host lets nobody hold a slot.
    """

    def __init__(self, name: str, group: str, instance: str, worker_index: int) -> None:
        self._prefix = id_prefix(name, group)
        self._held: socket.socket | None = None
        if instance:
            self.instance = f"{instance}-{worker_index}"
        else:
            self.instance = self._first_free(worker_index)
        self.transactional_id = f"{self._prefix}{self.instance}"

    def _first_free(self, worker_index: int) -> str:
        host = socket.gethostname()
        for slot in count():
            instance = f"{host}-{slot}.{worker_index}"
            try:
                self._held = _hold(f"{self._prefix}{instance}")
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    continue
                raise NoNameError(
                    f"cannot hold a name on this host by a Unix socket: {error.strerror}"
                ) from error
            return instance
        raise AssertionError  # pragma: no cover - count() has no end

    def release(self) -> None:
        """Give the name up to the next worker."""
        if self._held:
            self._held.close()
            self._held = None


def _hold(name: str) -> socket.socket:
    """Hold a name until the socket is closed; `OSError` EADDRINUSE where another process does.

    The name is the address of a Unix socket in Linux's abstract namespace. All users of a host
    share it, whatever temporary directory they have. It has no file that somebody could delete, or
    lay there first, and the kernel frees the address of a process that is killed.
    """
    digest = hashlib.sha256(name.encode(errors="surrogateescape")).hexdigest()
    held = socket.socket(socket.AF_UNIX)
    try:
        held.bind(f"\0exactly-once/{digest}")
    except OSError:
        held.close()
        raise
    return held
