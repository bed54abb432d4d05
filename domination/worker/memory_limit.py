"""How much memory this process may have, as Linux tells it: of its cgroups, or of the machine."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_V2: Final = ("sys/fs/cgroup", "memory.max", "memory.current", "")
_V1: Final = ("sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_")


class Own(NamedTuple):
    """What this process holds, in bytes."""

    resident: int
    files: int
    """The part of it that is read from files: the kernel takes it back before it kills."""


class Limit(NamedTuple):
    """A bound on the memory of some processes, ours among them."""

    size: int
    """In bytes."""
    group: Path | None
    """The directory of the cgroup; None for the machine."""
    root: Path

    def held(self) -> int:
        """Tell what all of them hold, in bytes, without what the kernel can take back."""
        if self.group is None:
            machine = _numbers(self.root / "proc/meminfo", 1024)
            return machine["MemTotal:"] - machine["MemAvailable:"]
        v1 = (self.group / _V1[1]).exists()
        _, _, usage, prefix = _V1 if v1 else _V2
        counts = _numbers(self.group / "memory.stat")
        files = counts[f"{prefix}active_file"] + counts[f"{prefix}inactive_file"]
        return max(0, int((self.group / usage).read_text()) - files)


def own(statm: int) -> Own:
    """Read what this process holds from an open `/proc/self/statm`."""
    _, resident, files = os.pread(statm, 100, 0).split()[:3]
    return Own(int(resident) * _PAGE, int(files) * _PAGE)


def lowest(root: Path = Path("/")) -> Limit | None:
    """Find the lowest limit of this process; None where there is no Linux to tell it."""
    try:
        found = [Limit(_numbers(root / "proc/meminfo", 1024)["MemTotal:"], None, root)]
    except (OSError, KeyError, ValueError):
        return None
    with suppress(OSError, ValueError):  # A kernel may have no cgroups, or hide them.
        found += _of_cgroups(root)
    return min(found, key=lambda limit: limit.size)


def _of_cgroups(root: Path) -> Iterator[Limit]:
    """Give the limits of the cgroups of this process, and of those that these are in.

    A container may not see its cgroup under the name that it has on the host, but at the top.
    """
    for line in (root / "proc/self/cgroup").read_text().splitlines():
        number, controllers, path = line.split(":", 2)
        if number == "0":
            top, name, *_ = _V2
        elif "memory" in controllers.split(","):
            top, name, *_ = _V1
        else:
            continue
        inner = Path(path.lstrip("/"))
        for each in (inner, *inner.parents):
            group = root / top / each
            file = group / name
            if file.is_file() and (said := file.read_text().strip()) != "max":
                yield Limit(int(said), group, root)


def _numbers(file: Path, unit: int = 1) -> dict[str, int]:
    """Read a file whose lines are a name and a number."""
    lines = (line.split() for line in file.read_text().splitlines())
    return {line[0]: int(line[1]) * unit for line in lines if line[1:]}
