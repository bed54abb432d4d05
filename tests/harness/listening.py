"""Where a process listens, as the kernel has it."""

from __future__ import annotations

import re
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

_LISTENS = "0A"


def addresses(pid: int) -> set[IPv4Address | IPv6Address]:
    """Give the addresses on which a process takes TCP connections."""
    sockets = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # Closed meanwhile.
            sockets |= set(re.findall(r"socket:\[(\d+)\]", str(link.readlink())))
    found: set[IPv4Address | IPv6Address] = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            _, local, _, state, *_, inode = line.split()[:10]
            if state == _LISTENS and inode in sockets:
                found.add(_address(local.partition(":")[0]))
    return found


def _address(text: str) -> IPv4Address | IPv6Address:
    """Read the kernel's form: words of four bytes, each the wrong way round."""
    raw = bytes.fromhex(text)
    packed = b"".join(raw[at : at + 4][::-1] for at in range(0, len(raw), 4))
    return IPv4Address(packed) if len(packed) == 4 else IPv6Address(packed)
