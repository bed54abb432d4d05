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
from typing import IO

from domination.exactly_once.options import id_prefix
from domination.kafka.faults import SettingError


class Identity:
    """A worker's name: that of its instance, and behind the prefix of its group its id.

    `instance` may be given, and then Kafka decides between two of the same name: the newer one
    wins. The worker is `{instance}-{worker index}`. Otherwise it is `{host}-{slot}.{worker index}`,
    which no given name can be, with the first slot whose file in `directory` no live worker has
    locked. Raises `SettingError` where the directory is not this user's alone.
    """

    def __init__(
        self, name: str, group: str, instance: str, worker_index: int, directory: Path
    ) -> None:
        self._lock: IO[str] | None = None
        if instance:
            self.instance = f"{instance}-{worker_index}"
        else:
            self.instance = self._first_free(directory, group, worker_index)
        self.transactional_id = f"{id_prefix(name, group)}{self.instance}"

    def _first_free(self, directory: Path, group: str, worker_index: int) -> str:
        _make_private(directory)
        host = socket.gethostname()
        for slot in count():
            instance = f"{host}-{slot}.{worker_index}"
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


def lock_directory(prefix: str) -> Path:
    """Give the directory for the names of a user's workers on this host."""
    return Path(tempfile.gettempdir()) / f"{prefix}{os.getuid()}"


def _make_private(directory: Path) -> None:
    """Make the directory; refuse one that another user has laid for us, with links in it."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise SettingError(f"{directory} is not this user's alone: remove it, or name the instance")
