"""A way to a Kafka broker that knows the protocol: it holds a request back and delivers it later.

Clients that are given the proxy's address stay behind it, since the broker's own address is
replaced in the answers that tell it. Others go to the broker directly.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from contextlib import suppress
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Final

from harness.door import Door
from harness.kafka_frames import describe_transaction, described, error, frames, parse
from harness.processes import PATIENT_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from harness.kafka_frames import Request

BREAKS: Final = ("rst", "fin", "silence")
_TELL_ADDRESSES: Final = ("Metadata", "FindCoordinator", "DescribeCluster")
_PACKET: Final = 4096


class Held:
    """The first request that fits, once it is caught."""

    def __init__(self, proxy: KafkaProxy, fits: Callable[[Request], bool], how: str) -> None:
        self._proxy = proxy
        self.fits = fits
        self.how = how
        self.caught: tuple[Request, bytes, _Connection] | None = None
        self.freed = threading.Event()
        self.error: int | None = None
        """What the broker has answered to it when it came late."""

    @property
    def waits(self) -> bool:
        """Whether it catches what comes."""
        return not self.caught or (self.how == "stall all" and not self.freed.is_set())

    def wait(self) -> Request:
        """Wait until it is caught."""
        return self._proxy.until(lambda: self.caught and self.caught[0], "it is caught")

    def deliver(self) -> int:
        """Send it to the broker, late, over a connection of its own; give the error code."""
        self.wait()
        assert self.caught
        request, frame, _ = self.caught
        self.error = error(request, self._proxy.ask(frame))
        return self.error

    def release(self) -> None:
        """Let it go on its way where it is only stalled, now or as soon as it comes."""
        self.freed.set()

    def reset(self) -> None:
        """Break its connection, where that has only fallen silent."""
        self.wait()
        assert self.caught
        self.caught[2].cut("rst")


class KafkaProxy:
    """Listens on 127.0.0.1 for one broker, until `close`.

    Each frame takes `delay_seconds`, in either direction, and the time that so many bytes a second
    need: to the broker on each connection, from the broker on all of them together.
    """

    def __init__(
        self,
        broker: str,
        delay_seconds: float = 0.0,
        bytes_a_second: float = float("inf"),
        down_bytes_a_second: float = float("inf"),
    ) -> None:
        self.delay_seconds = delay_seconds
        self.bytes_a_second = bytes_a_second
        self.downlink = _Rate(down_bytes_a_second)
        host, _, port = broker.partition(":")
        self._broker = (host, int(port))
        self.requests: list[Request] = []
        self._helds: list[Held] = []
        self._connections: list[_Connection] = []
        self.passing = threading.Event()
        """Cleared, nothing passes in either direction, as when packets are lost; set, it does."""
        self.passing.set()
        self._news = threading.Condition()
        self._door = Door(self._take)
        own = self._door.port
        self.address = f"{host}:{own}"
        theirs, ours = (host.encode() + struct.pack(">i", each) for each in (int(port), own))
        self.addresses = (theirs, ours)
        """The broker's and the proxy's, of equal length, as answers tell them."""

    def hold(
        self,
        name: str,
        how: str = "rst",
        *,
        where: Callable[[Request], bool] = lambda _: True,
        after: Held | None = None,
    ) -> Held:
        """Hold the next such request back, and break its connection.

        By "rst" or "fin" at once; with "silence" no byte passes any more, in either direction.
        With `after` only one that comes when that is caught.
        """

        def fits(request: Request) -> bool:
            return request.name == name and not (after and not after.caught) and where(request)

        with self._news:
            self._helds.append(held := Held(self, fits, how))
        return held

    def stall(self, name: str, **which: Any) -> Held:
        """Let the next such request, and what follows on its connection, wait for `release`."""
        return self.hold(name, "stall", **which)

    def stall_all(self, name: str) -> Held:
        """Let each such request, and what follows on its connection, wait for `release`."""
        return self.hold(name, "stall all")

    def answered(
        self,
        name: str,
        after: Request | None = None,
        where: Callable[[Request], bool] | None = None,
    ) -> Request:
        """Wait until such a request, which came after another, has its answer."""

        def found() -> Request | None:
            later = self.requests[after.number + 1 if after else 0 :]
            known = (each for each in later if each.name == name and each.error is not None)
            return next(filter(where, known), None)

        return self.until(found, f"{name} is answered")

    def until(self, found: Callable[[], Request | None], what: str) -> Request:
        """Wait for what a request or an answer brings about."""
        with self._news:
            assert self._news.wait_for(found, PATIENT_SECONDS), what
            request = found()
            assert request
            return request

    def cut(self, names: Collection[str]) -> None:
        """Break all connections that have carried one of these requests."""
        for connection in list(self._connections):
            if connection.carried & set(names):
                connection.cut("rst")

    def forget(self) -> None:
        """Let all connections that there are fall silent, as a firewall does that forgets them."""
        for connection in list(self._connections):
            connection.silence()

    def ask(self, frame: bytes) -> bytes:
        """Send a request to the broker over a connection of its own; give the answer."""
        with socket.create_connection(self._broker, PATIENT_SECONDS) as broker:
            broker.sendall(frame)
            return next(frames(broker))

    def state(self, transactional_id: str) -> str | None:
        """Ask for the state of a transaction: Ongoing, CompleteCommit and so on."""
        return described(self.ask(describe_transaction(transactional_id)))[0]

    def open_since(self, transactional_id: str) -> float | None:
        """Ask since when a transaction is open, in Unix time; none is."""
        state, since = described(self.ask(describe_transaction(transactional_id)))
        return since if state == "Ongoing" else None

    def close(self) -> None:
        self._door.close()
        self.passing.set()
        for held in self._helds:
            held.release()
        for connection in self._connections:
            connection.close()

    def catch(self, request: Request, frame: bytes, connection: _Connection) -> Held | None:
        """Note a request; give what holds it back, if anything does."""
        with self._news:
            request.number = len(self.requests)
            self.requests.append(request)
            fitting = (each for each in self._helds if each.waits and each.fits(request))
            if held := next(fitting, None):
                held.caught = request, frame, connection
            self._news.notify_all()
            return held

    def hear(self, request: Request, answer: bytes) -> bytes:
        """Note an answer; give what the client is to get."""
        if request.name in _TELL_ADDRESSES:
            return answer.replace(*self.addresses)
        with self._news:
            request.error = error(request, answer)
            self._news.notify_all()
        return answer

    def _take(self, client: socket.socket) -> None:
        broker = socket.create_connection(self._broker)
        self._connections.append(_Connection(self, client, broker))


class _Connection:
    """One client's, and the one to the broker that belongs to it."""

    def __init__(self, proxy: KafkaProxy, client: socket.socket, broker: socket.socket) -> None:
        self._proxy = proxy
        self._client = client
        self._broker = broker
        self._asked: dict[int, Request] = {}
        self._cut = False
        self.carried: set[str] = set()
        self._to_broker = _Line(broker, proxy.delay_seconds, _Rate(proxy.bytes_a_second))
        self._to_client = _Line(client, proxy.delay_seconds, proxy.downlink)
        for each in (client, broker):
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for carry in (self._up, self._down):
            threading.Thread(target=self._run, args=(carry,), daemon=True).start()

    def cut(self, how: str) -> None:
        """Break it as the client sees it; the broker's end closes."""
        with suppress(OSError):  # One end may have gone before.
            if how == "rst":
                linger = struct.pack("ii", 1, 0)
                self._client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                self._client.close()
            else:  # What is still unread would make a close a reset.
                self._client.shutdown(socket.SHUT_WR)
            self._broker.shutdown(socket.SHUT_RDWR)

    def silence(self) -> None:
        """Let no byte pass any more, in either direction."""
        self._cut = True

    def close(self) -> None:
        for each in (self._client, self._broker):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _run(self, carry: Callable[[], None]) -> None:
        with suppress(OSError):
            carry()
        if not self._cut:
            self.close()

    def _up(self) -> None:
        for frame in frames(self._client):
            if self._cut:
                return
            request = parse(frame)
            self.carried.add(request.name)
            held = self._proxy.catch(request, frame, self)
            if held and held.how.startswith("stall"):
                held.freed.wait()
            elif held:
                self._cut = True
                if held.how != "silence":
                    self.cut(held.how)
                return
            self._asked[request.correlation] = request
            self._proxy.passing.wait()
            self._to_broker.send(frame)

    def _down(self) -> None:
        for frame in frames(self._broker):
            request = self._asked.pop(int.from_bytes(frame[4:8], "big"))
            self._proxy.passing.wait()
            if not self._cut:
                self._to_client.send(self._proxy.hear(request, frame))


class _Rate:
    """What all who share it send together: so many bytes a second."""

    def __init__(self, bytes_a_second: float) -> None:
        self.bytes_a_second = bytes_a_second
        self._free = 0.0
        self._lock = threading.Lock()

    def wait(self, size: int) -> None:
        """Wait until so many bytes more have passed."""
        with self._lock:
            now = time.monotonic()
            self._free = due = max(now, self._free) + size / self.bytes_a_second
        time.sleep(due - now)


class _Line:
    """One direction of a connection: what is sent arrives in order, after a delay."""

    def __init__(self, end: socket.socket, delay_seconds: float, rate: _Rate) -> None:
        self._end = end
        self._delay_seconds = delay_seconds
        self._rate = rate
        self._under_way: SimpleQueue[tuple[float, bytes]] = SimpleQueue()
        self._slow = delay_seconds > 0 or rate.bytes_a_second < float("inf")
        if self._slow:
            threading.Thread(target=self._carry, daemon=True).start()

    def send(self, frame: bytes) -> None:
        if self._slow:
            self._under_way.put((time.monotonic() + self._delay_seconds, frame))
        else:
            self._end.sendall(frame)

    def _carry(self) -> None:
        with suppress(OSError):
            while True:
                due, frame = self._under_way.get()
                time.sleep(max(0.0, due - time.monotonic()))
                for start in range(0, len(frame), _PACKET):
                    packet = frame[start : start + _PACKET]
                    self._rate.wait(len(packet))
                    self._end.sendall(packet)
