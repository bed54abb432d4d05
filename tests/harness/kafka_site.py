"""A site on a real Kafka."""

from __future__ import annotations

import logging
import uuid
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

from confluent_kafka import Consumer, IsolationLevel, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

from domination.exactly_once.link import Link
from domination.exactly_once.reader import KafkaReader
from domination.exactly_once.starts import Starts
from domination.exactly_once.subscription import Subscription
from domination.exactly_once.writer import KafkaWriter
from domination.kafka.client import Connection
from domination.kafka.client_log import ClientLog
from domination.kafka.faults import Rights
from domination.kafka.tail import Tail
from harness.kafka_proxy import KafkaProxy
from harness.processes import PATIENT_SECONDS, eventually
from harness.site import PARTITIONS, Read, target

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from confluent_kafka import Message

    from domination.exactly_once.batch import Record
    from domination.exactly_once.ports import Change
    from harness.kafka_proxy import Held

COMMITTED, UNCOMMITTED = IsolationLevel.READ_COMMITTED, IsolationLevel.READ_UNCOMMITTED


class KafkaSite:
    """A `Site` of its own on a shared broker; writers work through a proxy."""

    def __init__(self, servers: str) -> None:
        name = uuid.uuid4().hex[:8]
        self.input, self.dead_letters = f"in-{name}", f"dead-{name}"
        self.outputs = (f"left-{name}", f"right-{name}")
        self._group = f"group-{name}"
        self._log = logging.getLogger("site")
        self._proxy = KafkaProxy(servers)
        log = ClientLog(self._log)
        self._connection = Connection({"bootstrap.servers": servers}, log)
        self._proxied = Connection({"bootstrap.servers": self._proxy.address}, log)
        self._client: dict[str, Any] = {"bootstrap.servers": servers, "log_level": 0}
        self._admin = AdminClient(self._client)
        self._ends: list[Callable[[], None]] = [self._proxy.close]
        topics = [
            NewTopic(self.input, PARTITIONS, 1),
            *(NewTopic(each, 1, 1) for each in (*self.outputs, self.dead_letters)),
        ]
        for made in self._admin.create_topics(topics).values():
            made.result(PATIENT_SECONDS)
        # A broker says that it has made a topic before it leads its partitions.
        eventually(self._led)

    def close(self) -> None:
        """End all that was made here."""
        for end in reversed(self._ends):
            end()

    def reader(self, name: str, changes: Callable[[Change], None]) -> KafkaReader:
        written = (*self.outputs, self.dead_letters)
        subscription = Subscription(self.input, self._group, name, written, Rights())
        starts = Starts(self._connection, self._group, self.input, written, self._log)
        link = Link(self._log)
        reader = KafkaReader(self._connection, subscription, changes, link, starts, self._log)
        self._ends.append(lambda: reader.close(5.0))
        reader.subscribe()
        return reader

    def writer(self, name: str, outputs: int = 2) -> KafkaWriter:
        writer = KafkaWriter(self._proxied, target(f"{name}-{self._group}", self, outputs))
        self._ends.append(lambda: writer.close(1.0))
        return writer

    def settle(self) -> None:
        """Do nothing: the broker does it."""

    def send(self, partition: int, *records: Record) -> None:
        self._produce(Producer(self._client), partition, records)

    def send_aborted(self, partition: int) -> int:
        producer = Producer(self._client | {"transactional.id": f"aborted-{self._group}"})
        producer.init_transactions(PATIENT_SECONDS)
        producer.begin_transaction()
        producer.produce(self.input, b"aborted", partition=partition)
        producer.flush(PATIENT_SECONDS)
        producer.abort_transaction(PATIENT_SECONDS)
        self.ended()
        return self._last([TopicPartition(self.input, partition)], COMMITTED)[0]

    def make_again(self) -> None:
        self._admin.delete_topics([self.input])[self.input].result(PATIENT_SECONDS)
        eventually(self._made_again)
        eventually(self._led)
        eventually(lambda: not self.committed(), what="the offsets have not gone")

    def _made_again(self) -> bool:
        with suppress(KafkaException):  # Deleting it takes a moment.
            new = NewTopic(self.input, PARTITIONS, 1)
            self._admin.create_topics([new])[self.input].result(PATIENT_SECONDS)
            return True
        return False

    def hold(self, commit: bool) -> Held:
        return self._proxy.hold("EndTxn", where=lambda request: request.committed is commit)

    def limit(self, topic: str, size: int) -> None:
        entry = ConfigEntry(
            "max.message.bytes", str(size), incremental_operation=AlterConfigOpType.SET
        )
        resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
        self._admin.incremental_alter_configs([resource])[resource].result(PATIENT_SECONDS)

    def read(self, topic: str) -> list[Read]:
        with closing(Tail(self._connection, "reads", wait_ms=10)) as tail:
            tail.follow([TopicPartition(topic, 0, 0)])
            return [_read(message) for message in tail.to_end()]

    def ended(self) -> None:
        places = self._places()

        def settled() -> bool:
            return self._last(places, COMMITTED) == self._last(places, UNCOMMITTED)

        eventually(settled, what="a transaction is open")

    def committed(self) -> Mapping[int, int]:
        with closing(Consumer(self._client | {"group.id": self._group})) as consumer:
            places = [TopicPartition(self.input, partition) for partition in range(PARTITIONS)]
            found = consumer.committed(places, timeout=PATIENT_SECONDS)
        return {each.partition: each.offset for each in found if each.offset >= 0}

    def _places(self) -> list[TopicPartition]:
        places = [TopicPartition(self.input, partition) for partition in range(PARTITIONS)]
        return places + [TopicPartition(topic, 0) for topic in (*self.outputs, self.dead_letters)]

    def _led(self) -> bool:
        with suppress(KafkaException):
            return bool(self._last(self._places(), UNCOMMITTED))
        return False

    def _last(self, places: list[TopicPartition], isolation: IsolationLevel) -> list[int]:
        """Give the last offset of each partition, or that of its first open transaction."""
        latest: Any = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        asked = dict.fromkeys(places, latest)
        found = self._admin.list_offsets(asked, isolation_level=isolation)
        return [each.result(PATIENT_SECONDS).offset for each in found.values()]

    def _produce(self, producer: Producer, partition: int, records: tuple[Record, ...]) -> None:
        for each in records:
            producer.produce(
                self.input,
                each.value,
                each.key,
                partition,
                timestamp=each.timestamp,
                headers=each.headers or [],
            )
        assert producer.flush(PATIENT_SECONDS) == 0


def _read(message: Message) -> Read:
    headers: Any = message.headers() or []
    return Read(message.key(), message.value(), headers, message.timestamp()[1])
