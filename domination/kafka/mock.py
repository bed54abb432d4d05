"""A Kafka in this process: librdkafka's mock broker.

It keeps no offsets of transactions and does not hide aborted records. So it serves to show a
system, never to prove anything.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from confluent_kafka import Producer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


@contextmanager
def mock_broker(topics: Iterable[str]) -> Iterator[str]:
    """Run a mock broker that has these topics, of four partitions each; yield its address."""
    producer = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "mock", "log_level": 0})
    broker = next(iter(producer.list_topics(timeout=10).brokers.values()))
    for topic in topics:  # It makes one when a client that lets it asks for it.
        producer.list_topics(topic, timeout=10)
    yield f"{broker.host}:{broker.port}"
