"""A pipeline of its own for each test: topics, a group, worker processes, and an oracle."""

from __future__ import annotations

import time
import uuid
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

from harness import oracle
from harness.processes import PATIENT_SECONDS, WORKER, Worker, eventually

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

Sent = oracle.Sent


class Seen(NamedTuple):
    """What a reader found in a topic: its records, in order by partition."""

    records: list[Message]

    def values(self) -> list[Any]:
        return [orjson.loads(each.value() or b"") for each in self.records]


class Pipeline:
    """Three topics and a group that no other test has."""

    def __init__(self, bootstrap_servers: str, directory: Path) -> None:
        name = uuid.uuid4().hex[:8]
        self.bootstrap_servers = bootstrap_servers
        self.group = f"group-{name}"
        self.input, self.output, self.dead = f"in-{name}", f"out-{name}", f"dead-{name}"
        self.environment = {
            "DOMINATION_KAFKA_BOOTSTRAP_SERVERS": bootstrap_servers,
            "DOMINATION_INPUT_TOPIC": self.input,
            "DOMINATION_OUTPUT_TOPIC": self.output,
            "DOMINATION_DEAD_LETTER_TOPIC": self.dead,
            "DOMINATION_GROUP": self.group,
        }
        self._directory = directory
        self._workers: list[Worker] = []
        self._client: dict[str, Any] = {
            "bootstrap.servers": bootstrap_servers,
            # A broker that was down or frozen is found again soon after it is back.
            "reconnect.backoff.max.ms": 500,
            "log_level": 0,
        }
        self.admin = AdminClient(self._client)
        self.sent: list[Sent] = []

    # Topics.

    def create(
        self,
        partitions: int = 4,
        output: dict[str, str] | None = None,
        outputs: int = 3,
        source: dict[str, str] | None = None,
    ) -> Pipeline:
        topics = [
            NewTopic(self.input, partitions, config=source or {}),
            NewTopic(self.output, outputs, config=output or {}),
            NewTopic(self.dead, 2),
        ]
        for made in self.admin.create_topics(topics).values():
            made.result(PATIENT_SECONDS)
        # A broker says that it has made a topic before it tells that there is one.
        for topic, wanted in ((self.input, partitions), (self.output, outputs), (self.dead, 2)):
            eventually(lambda t=topic, n=wanted: len(self.partitions(t)) == n)  # type: ignore[misc]
        # And that there is one before it leads it.
        eventually(self._led)
        return self

    def _led(self) -> bool:
        latest: Any = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        topics = (self.input, self.output, self.dead)
        places = [place for topic in topics for place in self.partitions(topic)]
        with suppress(KafkaException):
            for told in self.admin.list_offsets(dict.fromkeys(places, latest)).values():
                told.result(PATIENT_SECONDS)
            return True
        return False

    def add_partitions(self, total: int) -> None:
        self.admin.create_partitions([NewPartitions(self.input, total)])[self.input].result(
            PATIENT_SECONDS
        )

    def configure(self, topic: str, name: str, value: str) -> None:
        """Set one entry of a topic's configuration."""
        entry = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
        self.admin.incremental_alter_configs([resource])[resource].result(PATIENT_SECONDS)

    def remake_input(self, partitions: int) -> None:
        """Delete the input topic and make it again, empty."""
        self.admin.delete_topics([self.input])[self.input].result(PATIENT_SECONDS)

        def made() -> bool:
            try:
                new = NewTopic(self.input, partitions, 1)
                self.admin.create_topics([new])[self.input].result(PATIENT_SECONDS)
            except KafkaException:
                return False  # Deleting it takes a moment.
            return True

        eventually(made)
        eventually(lambda: len(self.partitions(self.input)) == partitions)

    def partitions(self, topic: str) -> list[TopicPartition]:
        found = self.admin.list_topics(topic, timeout=PATIENT_SECONDS).topics[topic].partitions
        return [TopicPartition(topic, number) for number in found]

    # Workers.

    def worker(self, *arguments: str, command: Iterable[str] = WORKER, **more: str) -> Worker:
        """Start a worker with more settings, or what is for `hurt_worker.py`."""
        environment = self.environment | {
            name if name.startswith("CHAOS_") else f"DOMINATION_{name}": value
            for name, value in more.items()
        }
        log = self._directory / f"worker-{len(self._workers)}.log"
        self._workers.append(Worker([*command, *arguments], environment, log))
        return self._workers[-1]

    def outputs(self) -> str:
        """Everything that any worker has printed."""
        return "".join(worker.output for worker in self._workers)

    def end(self) -> None:
        for worker in self._workers:
            worker.kill()

    # Records.

    def send(self, records: Iterable[Sent], rate: float | None = None) -> None:
        """Send values with their keys to the input topic, in order, all confirmed."""
        own = {
            "linger.ms": 5,
            "message.max.bytes": 2_000_000,
            "enable.idempotence": True,
            "queue.buffering.max.messages": 1_000_000,
        }
        producer = Producer(self._client | own)
        started = time.monotonic()
        for number, (value, key) in enumerate(records):
            if rate and number % 20 == 0:
                time.sleep(max(0.0, started + number / rate - time.monotonic()))
            producer.produce(self.input, value=value, key=key)
            producer.poll(0)
            self.sent.append((value, key))
        assert producer.flush(PATIENT_SECONDS) == 0

    def committed(self) -> dict[int, int]:
        """Give the group's committed offset of each input partition."""
        # Kafka ends the transaction of a killed worker within 20 s, and answers then.
        return {each.partition: max(each.offset, 0) for each in self.places()}

    def _of_the_group(self) -> Consumer:
        return Consumer(self._client | {"group.id": self.group})

    def started(self) -> None:
        """Wait until the group has an offset for each input partition."""

        def done() -> bool:
            try:
                places = consumer.committed(self.partitions(self.input), timeout=10)
            except KafkaException:
                return False  # A new broker's first group has no coordinator at once.
            return all(place.offset >= 0 for place in places)

        with closing(self._of_the_group()) as consumer:
            eventually(done)

    def reset_offsets(self, offset: int = 0) -> None:
        """Let the group, which has no members, go on at an offset of each input partition."""
        places = self.partitions(self.input)
        for place in places:
            place.offset = offset
        self.commit(places)

    def places(self) -> list[TopicPartition]:
        """Give what the group has committed, whole."""
        with closing(self._of_the_group()) as consumer:
            return consumer.committed(self.partitions(self.input), timeout=PATIENT_SECONDS)

    def commit(self, places: list[TopicPartition]) -> None:
        """Commit offsets for the group, which has no members."""
        with closing(self._of_the_group()) as consumer:
            consumer.commit(offsets=places, asynchronous=False)

    def ends(self, topic: str) -> dict[int, int]:
        """Give the offset behind the last record of each partition."""
        return {each.partition: self._watermarks(each)[1] for each in self.partitions(topic)}

    def _watermarks(self, place: TopicPartition) -> tuple[int, int]:
        with closing(Consumer(self._client | {"group.id": "reader"})) as consumer:
            return consumer.get_watermark_offsets(place, timeout=PATIENT_SECONDS)

    def members(self) -> int:
        """Count the group's members as its coordinator knows them."""
        found: list[int] = []

        def told() -> bool:
            asked = self.admin.describe_consumer_groups([self.group])[self.group]
            with suppress(KafkaException):  # A new broker's first group has no coordinator at once.
                found.append(len(asked.result(PATIENT_SECONDS).members))
            return bool(found)

        eventually(told)
        return found[0]

    def drained(self, seconds: float = PATIENT_SECONDS) -> None:
        """Wait until the group has committed every input record."""
        partitions = self.partitions(self.input)
        ends: dict[int, int] = {}
        consumer = self._of_the_group()

        def done() -> bool:
            nonlocal consumer
            try:
                for each in partitions:
                    if each.partition not in ends:
                        _, ends[each.partition] = consumer.get_watermark_offsets(each, timeout=10)
                found = consumer.committed(partitions, timeout=10)
            except KafkaException:
                # A broker that has just woken, or a transaction of one that was killed. A client
                # that lost its only connection may never find the way back.
                consumer.close()
                consumer = self._of_the_group()
                return False
            return all(max(p.offset, 0) >= ends[p.partition] for p in found)

        try:
            eventually(done, seconds, lambda: f"{ends} committed; {self.outputs()[-3000:]}")
        finally:
            consumer.close()

    def read(self, topic: str, isolation: str = "read_committed") -> Seen:
        """Read a topic to its end."""
        consumer = Consumer(
            self._client
            | {"group.id": "reader", "isolation.level": isolation, "enable.partition.eof": True}
            | {"enable.auto.commit": False, "auto.offset.reset": "earliest"}
            # The end of a partition is told with an answer, and an empty one waits for so long.
            | {"fetch.wait.max.ms": 10}
        )
        partitions = self.partitions(topic)
        consumer.assign([TopicPartition(topic, p.partition, 0) for p in partitions])
        records: list[Message] = []
        open_partitions = {p.partition for p in partitions}
        deadline = time.monotonic() + PATIENT_SECONDS
        trouble = ""
        while open_partitions:
            assert time.monotonic() < deadline, f"{topic} has no end: {open_partitions} {trouble}"
            for message in consumer.consume(5000, 0.2):
                error = message.error()
                if error is None:
                    records.append(message)
                elif error.code() == KafkaError._PARTITION_EOF:
                    open_partitions.discard(message.partition())
                else:  # The client tries again.
                    trouble = error.str()
        consumer.close()
        return Seen(sorted(records, key=lambda each: (each.partition(), each.offset())))

    # The oracle.

    def history(
        self, bad: Mapping[bytes | None, str], watched: Sequence[oracle.Record] = ()
    ) -> oracle.History:
        """Collect what was sent and what came of it. `bad` has each value that is no rating."""
        places = self.partitions(self.input)
        ends = {each.partition: (0, self._watermarks(each)[1]) for each in places}
        for message in self.read(self.input).records:
            partition, offset = message.partition() or 0, message.offset() or 0
            ends[partition] = (offset + 1, ends[partition][1])
        return oracle.History(
            self.sent,
            bad,
            shadows=list(map(oracle.record, self.read(self.output).records)),
            letters=list(map(oracle.record, self.read(self.dead).records)),
            watched=list(watched),
            committed=self.committed(),
            ends=ends,
        )

    def anomalies(self, bad: Mapping[bytes | None, str] | None = None) -> dict[str, list[Any]]:
        """Hold what was sent against what committed readers see; each list should be empty."""
        return oracle.anomalies(self.history(bad or {}))

    def exactly_once(self, bad: Mapping[bytes | None, str] | None = None) -> None:
        """Assert that no anomaly of any name is there."""
        found = {name: each[:5] for name, each in self.anomalies(bad).items() if each}
        assert not found, f"{found}\n{self.outputs()[-3000:]}"
