"""The system on a bare machine: librdkafka's mock broker, a producer and a real worker.

The mock broker keeps no offsets of transactions and hides no aborted records: this is to look at,
never to prove anything with.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing, contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Final

import orjson
from confluent_kafka import Consumer, Producer, TopicPartition

from domination import log
from domination.broker import Admin
from domination.errors import DominationError, Exit
from domination.humans import HumanProducer, human_ratings
from domination.lifecycle import Lifecycle
from domination.settings import PREFIX, Settings, environment_name
from domination.shadow import ShadowType

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_LINE_SECONDS: Final = 1.0
_LAST_SECONDS: Final = 60.0


def run(humans: int | None, rate: float, seed: int | None, say: Callable[[str], None]) -> Exit:
    """Rate humans until a signal, or until all of `humans` are shadows; say how it goes."""
    lifecycle = Lifecycle()
    with _mock_broker() as address:
        settings = Settings(bootstrap_servers=address, log_level="error")
        log.configure(settings)
        Admin(settings).partitions(settings.topics)  # Asking makes them, here.
        lifecycle.stop_on_signals()
        say(f"embedded broker at {address}, {rate:g} ratings/s")
        with _worker(settings) as worker, closing(_Board(settings)) as board:
            producer = HumanProducer(settings)
            sent, shown = 0, time.monotonic()
            people = islice(human_ratings(seed), humans)
            for batch in producer.send(people, rate, going=lambda: not lifecycle.stopping):
                sent += batch
                board.read()
                if worker.poll() is not None:
                    raise DominationError(Exit.BUG, f"the worker ended with {worker.returncode}")
                if time.monotonic() - shown >= _LINE_SECONDS:
                    shown = time.monotonic()
                    say(board.line(sent))
            producer.finish()
            deadline = time.monotonic() + _LAST_SECONDS
            while board.total < sent and time.monotonic() < deadline:
                board.read(wait=0.05)
            say(board.line(sent))
            return Exit.OK if board.total == sent else Exit.BUG


class _Board:
    """Counts the shadows by type, as a reader of the topic sees them."""

    def __init__(self, settings: Settings) -> None:
        self._counts: Counter[int] = Counter()
        self._consumer = Consumer(
            {
                "bootstrap.servers": settings.bootstrap_servers,
                "group.id": "board",
                "log_level": 0,
            }
        )
        topic = settings.output_topic
        partitions = self._consumer.list_topics(topic, timeout=10).topics[topic].partitions
        self._consumer.assign([TopicPartition(topic, number, 0) for number in partitions])

    def close(self) -> None:
        self._consumer.close()

    @property
    def total(self) -> int:
        return self._counts.total()

    def read(self, wait: float = 0) -> None:
        for message in self._consumer.consume(5000, wait):
            if message.error() is None:
                self._counts[orjson.loads(message.value() or b"")["type"]] += 1

    def line(self, sent: int) -> str:
        types = "  ".join(
            f"{shadow.label} {self._counts[shadow]:,}" for shadow in map(ShadowType, range(4))
        )
        return f"{sent:,} ratings  {self.total:,} shadows: {types}"


@contextmanager
def _mock_broker() -> Iterator[str]:
    producer = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "mock", "log_level": 0})
    broker = next(iter(producer.list_topics(timeout=10).brokers.values()))
    yield f"{broker.host}:{broker.port}"


@contextmanager
def _worker(settings: Settings) -> Iterator[subprocess.Popen[bytes]]:
    """Run a worker as its own process, out of reach of the terminal's Ctrl-C."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    environment[environment_name("bootstrap_servers")] = settings.bootstrap_servers
    worker = subprocess.Popen(
        [sys.executable, "-m", "domination", "worker", "-l", "error"],
        env=environment,
        start_new_session=True,
    )
    try:
        yield worker
    finally:
        worker.terminate()
        worker.wait()
