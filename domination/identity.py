"""A stable name for each worker: its transactional id and its static membership in the group.

Kafka settles what a crashed worker left open as soon as the same name comes back, instead of after
a time-out; so a restart must find its name again, and two live workers must never share one.
"""

from __future__ import annotations

import fcntl
import os
import re
import socket
import stat
import tempfile
from itertools import count
from pathlib import Path
from typing import IO, TYPE_CHECKING

from domination.errors import DominationError, Exit

if TYPE_CHECKING:
    from domination.settings import Settings


class Identity:
    """The name `{prefix}-{group}-{instance}-{worker index}`, ours until `release`.

    Instance is the setting, and then Kafka decides between two of the same name: the newer one
    wins. Otherwise it is the host's name and the first slot whose file no live worker has locked.
    """

    def __init__(
        self, settings: Settings, worker_index: int, directory: Path | None = None
    ) -> None:
        self._lock: IO[str] | None = None
        if settings.instance:
            self.instance = f"{settings.instance}-{worker_index}"
        else:
            self.instance = self._first_free(
                directory or _lock_directory(), settings.group, worker_index
            )
        self.transactional_id = settings.id_prefix + self.instance

    def _first_free(self, directory: Path, group: str, worker_index: int) -> str:
        _make_private(directory)
        host = socket.gethostname()
        for slot in count():
            instance = f"{host}-{slot}-{worker_index}"
            lock = (directory / re.sub(r"[^\w.-]", "_", f"{group}-{instance}.lock")).open("w")
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.close()
                continue
            self._lock = lock
            return instance
        raise AssertionError  # pragma: no cover - count() has no end

    def release(self) -> None:
        """Give the name up to the next worker."""
        if self._lock:
            self._lock.close()
            self._lock = None


def _lock_directory() -> Path:
    return Path(tempfile.gettempdir()) / f"domination-{os.getuid()}"


def _make_private(directory: Path) -> None:
    """Make the directory; refuse one that another user has laid for us, with links in it."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise DominationError(
            Exit.SETTING,
            f"{directory} is not this user's alone: remove it, or set DOMINATION_INSTANCE",
        )
