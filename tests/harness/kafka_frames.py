"""Requests and answers of Kafka's protocol, as far as a test looks into them."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

_NEVER: Final = 1_000
# Each kind by its number: its name, and the version from which it has tags and short lengths.
_KINDS: Final = {
    0: ("Produce", 9),
    1: ("Fetch", 12),
    3: ("Metadata", _NEVER),
    8: ("OffsetCommit", 8),
    10: ("FindCoordinator", _NEVER),
    11: ("JoinGroup", 6),
    12: ("Heartbeat", 4),
    14: ("SyncGroup", 4),
    22: ("InitProducerId", 2),
    24: ("AddPartitionsToTxn", 3),
    25: ("AddOffsetsToTxn", 3),
    26: ("EndTxn", 3),
    28: ("TxnOffsetCommit", 3),
    60: ("DescribeCluster", _NEVER),
    65: ("DescribeTransactions", 0),
    68: ("ConsumerGroupHeartbeat", 0),
}
TRANSACTIONAL: Final = [_KINDS[number][0] for number in (0, 24, 25, 26, 28)]
_TELL_BY_PARTITION: Final = ("Produce", "AddPartitionsToTxn", "TxnOffsetCommit", "OffsetCommit")
_THROTTLED_FROM: Final = {"Produce": _NEVER, "Fetch": 1, "OffsetCommit": 3}
"""The version from which an answer begins with a time to wait; those of other kinds all do."""
_NAMED_BY_ID_FROM: Final = {"Produce": 13, "OffsetCommit": 10}
_TO_PRODUCER: Final = 8 + 4 + 4 + 1 + 4 + 2 + 4 + 8 + 8
"""From the start of a batch of records to its producer's id."""
FENCED: Final = (47, 90)
"""INVALID_PRODUCER_EPOCH and PRODUCER_FENCED."""


class Fields:
    """Reads the fields of a message one after the other."""

    def __init__(self, data: bytes, *, flexible: bool = False) -> None:
        self._data = data
        self._at = 0
        self.flexible = flexible

    def integer(self, size: int) -> int:
        self._at += size
        return int.from_bytes(self._data[self._at - size : self._at], "big", signed=True)

    def length(self, size: int) -> int:
        """Read how long it is what follows; -1 is null."""
        return self._variable() - 1 if self.flexible else self.integer(size)

    def text(self) -> str | None:
        length = self.length(2)
        self._at += max(length, 0)
        return None if length < 0 else self._data[self._at - length : self._at].decode()

    def skip(self, size: int) -> None:
        self._at += size

    def topic(self, name: str, version: int) -> None:
        """Pass a topic's name, or its id in its place."""
        if version >= _NAMED_BY_ID_FROM.get(name, _NEVER):
            self.skip(16)
        else:
            self.text()

    def tags(self) -> None:
        for _ in range(self._variable() if self.flexible else 0):
            self._variable()
            self._at += self._variable()

    def _variable(self) -> int:
        byte = self.integer(1)
        return byte if byte >= 0 else (byte & 0x7F) | self._variable() << 7


@dataclass(eq=False)
class Request:
    """A request as it came by."""

    name: str
    """As in `_KINDS`; of a kind that is not there the number."""
    correlation: int
    flexible: bool
    transactional_id: str | None = None
    committed: bool | None = None
    """What an EndTxn asks for; None for any other request."""
    number: int = -1
    """Its place among all requests."""
    error: int | None = None
    """The broker's answer, once the proxy has it: 0 is success."""
    version: int = 0
    producer: int = -1
    """The id of the producer, where it is a request of one."""
    epoch: int = -1


def parse(frame: bytes) -> Request:
    """Read a request's header, and of its body what a test asks for."""
    fields = Fields(frame[4:])
    kind, version, correlation = fields.integer(2), fields.integer(2), fields.integer(4)
    name, flexible_from = _KINDS.get(kind, (str(kind), _NEVER))
    fields.text()  # The client's name for itself, in the old form always.
    request = Request(name, correlation, version >= flexible_from, version=version)
    fields.flexible = request.flexible
    fields.tags()
    if name in TRANSACTIONAL:
        request.transactional_id = fields.text()
    if name == "TxnOffsetCommit":
        fields.text()  # The group.
    if name == "Produce":
        _pass_to_producer(fields, version)
    if name in TRANSACTIONAL:
        request.producer, request.epoch = fields.integer(8), fields.integer(2)
    if name == "EndTxn":
        request.committed = bool(fields.integer(1))
    return request


def _pass_to_producer(fields: Fields, version: int) -> None:
    """Go to the producer's id in the first batch of a Produce."""
    fields.skip(2 + 4)  # Acknowledgments and time-out.
    fields.length(4)
    fields.topic("Produce", version)
    fields.length(4)
    fields.skip(4)
    fields.length(4)
    fields.skip(_TO_PRODUCER)


def error(request: Request, answer: bytes) -> int:
    """Read the error code of an answer; of several the first."""
    fields = Fields(answer[8:], flexible=request.flexible)
    fields.tags()
    if request.version >= _THROTTLED_FROM.get(request.name, 0):
        fields.integer(4)  # For how long the client is to wait.
    if request.name in _TELL_BY_PARTITION:
        if fields.length(4) < 1:
            return 0
        fields.topic(request.name, request.version)
        fields.length(4)
        fields.integer(4)
    return fields.integer(2)


def describe_transaction(transactional_id: str) -> bytes:
    """Make the request that asks for the state of a transaction."""
    name = transactional_id.encode()
    header = struct.pack(">hhihb", 65, 0, 0, -1, 0)
    body = header + bytes([2, len(name) + 1]) + name + b"\0"
    return struct.pack(">i", len(body)) + body


def described(answer: bytes) -> tuple[str | None, float]:
    """Read the state of a transaction from the answer, and since when it is open, in Unix time."""
    fields = Fields(answer[8:], flexible=True)
    fields.tags()
    fields.integer(4)
    fields.length(4)
    fields.integer(2)
    fields.text()
    state = fields.text()
    fields.integer(4)
    return state, fields.integer(8) / 1000


def frames(source: socket.socket) -> Iterator[bytes]:
    """Read messages, each with its length, until the connection ends."""
    with source.makefile("rb") as file:
        while len(head := file.read(4)) == 4:
            yield head + file.read(int.from_bytes(head, "big"))
