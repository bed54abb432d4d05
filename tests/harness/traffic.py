"""What flows in a world of chaos, and who looks on."""

from __future__ import annotations

import itertools
import random
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from harness import oracle
from harness.processes import PATIENT_SECONDS, eventually
from harness.records import BAD, humans

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from harness.pipeline import Pipeline

PARTITIONS: Final = 4
# The long ones would make a history that nobody reads.
SHORT: Final = {value: why for value, why in BAD.items() if value is None or len(value) < 10_000}


def place(key: bytes, partitions: int) -> int:
    """Give the input partition of a key."""
    return sum(key) % partitions


class Traffic:
    """Sends humans at a steady rate, on its own thread.

    `bad` are for one in 200 to be; with `aborting` an `Aborter` sends beside it.
    """

    def __init__(  # noqa: PLR0913 - what it sends
        self,
        pipeline: Pipeline,
        seed: int,
        rate: int,
        bad: Sequence[bytes | None] = (),
        *,
        aborting: bool = False,
        partitions: int = PARTITIONS,
    ) -> None:
        self._pipeline = pipeline
        self._partitions = partitions
        self._rate = rate
        self._bad = bad
        self._going = threading.Event()
        self._going.set()
        own = {"bootstrap.servers": pipeline.bootstrap_servers, "log_level": 0}
        self._producer = Producer(own | {"enable.idempotence": True, "message.timeout.ms": 0})
        self._chance = random.Random(seed)
        self._humans = humans(10**9, seed)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._aborter = Aborter(pipeline, self._going) if aborting else None
        self.sent: list[oracle.Sent] = []
        self.partitions = partitions
        self._thread.start()

    def finish(self) -> None:
        """Stop, and see that every record is in the topic."""
        self._going.clear()
        self._thread.join()
        if self._aborter:
            self._aborter.join()
        # Nobody commits what comes after a last record: aborted ones and the marks of transactions.
        for partition in range(self.partitions):
            value, _ = next(self._humans)
            self._send(value, None, partition)
        assert self._producer.flush(PATIENT_SECONDS) == 0

    def widen(self, total: int) -> None:
        """Send to so many partitions, once the producer knows of them."""

        def known() -> bool:
            found = self._producer.list_topics(self._pipeline.input, timeout=PATIENT_SECONDS)
            return len(found.topics[self._pipeline.input].partitions) == total

        eventually(known)
        self.partitions = total

    def _run(self) -> None:
        started = time.monotonic()
        for number, (value, key) in enumerate(self._humans, 1):
            if not self._going.is_set():
                break
            # A key keeps its partition when partitions are added: Kafka itself would move it.
            keyless = self._chance.randrange(self.partitions)
            self._send(value, key, keyless if key is None else place(key, self._partitions))
            if self._bad and number % 200 == 0:
                bad = place(b"bad", self._partitions)
                self._send(self._chance.choice(self._bad), b"bad", bad)
            time.sleep(max(0.0, started + number / self._rate - time.monotonic()))

    def _send(self, value: bytes | None, key: bytes | None, partition: int) -> None:
        while True:
            try:
                self._producer.produce(self._pipeline.input, value, key, partition=partition)
            except BufferError:  # noqa: PERF203 - full: the broker has been away for long
                self._producer.poll(0.1)
            else:
                break
        self._producer.poll(0)
        self.sent.append((value, key))


class Aborter:
    """Sends humans in transactions that it aborts, until `going` is cleared: nobody may judge them.

    They leave gaps in the offsets, and hold back readers of what is sent beside them for a moment.
    """

    def __init__(self, pipeline: Pipeline, going: threading.Event) -> None:
        self._pipeline = pipeline
        self._going = going
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def join(self) -> None:
        """Wait for the end of the last transaction."""
        self._thread.join()

    def _run(self) -> None:
        made = humans(10**9, seed=-1)
        while self._going.is_set():
            # Whatever breaks a transaction, the next producer of the id aborts it.
            with suppress(KafkaException):
                self._abort(made)
            time.sleep(0.2)
        self._producer().init_transactions(120)

    def _producer(self) -> Producer:
        return Producer(
            {
                "bootstrap.servers": self._pipeline.bootstrap_servers,
                "transactional.id": f"aborter-{self._pipeline.group}",
                "transaction.timeout.ms": 10_000,
                "log_level": 0,
            }
        )

    def _abort(self, made: Iterator[oracle.Sent]) -> None:
        producer = self._producer()
        producer.init_transactions(5)
        while self._going.is_set():
            producer.begin_transaction()
            for _ in range(10):
                value, _ = next(made)
                producer.produce(self._pipeline.input, value, b"aborted")
            producer.flush(5)
            producer.abort_transaction(5)
            time.sleep(0.2)


class Onlooker:
    """Reads the shadows read_committed all the while, on its own thread."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._going = threading.Event()
        self._going.set()
        self.records: list[oracle.Record] = []
        self._times: list[tuple[int, float, float]] = []
        """Of each record its partition, and when it was written and seen."""
        self._consumer = Consumer(
            {
                "bootstrap.servers": pipeline.bootstrap_servers,
                "group.id": "onlooker",
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "fetch.wait.max.ms": 50,
                "reconnect.backoff.max.ms": 500,
                "log_level": 0,
            }
        )
        outputs = pipeline.partitions(pipeline.output)
        self._partitions = len(outputs)
        self._consumer.assign([TopicPartition(each.topic, each.partition, 0) for each in outputs])
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def finish(self) -> None:
        """Stop, unless it has."""
        if self._going.is_set():
            self._going.clear()
            self._thread.join()
            self._consumer.close()

    def gap(self, since: float) -> float | None:
        """Give the seconds from a moment until what was written later was seen everywhere."""
        first: dict[int, float] = {}
        for partition, written, seen in reversed(self._times):
            if seen < since:
                break
            if written > since:
                first[partition] = seen
        return max(first.values()) - since if len(first) == self._partitions else None

    def moments(self, partitions: int) -> dict[int, list[tuple[float, float]]]:
        """Give, for each of so many input partitions, when its shadows were written and seen.

        Only those with a key, which tells the partition.
        """
        found: dict[int, list[tuple[float, float]]] = {n: [] for n in range(partitions)}
        for (_, written, seen), record in zip(list(self._times), self.records, strict=False):
            if record.key is not None:
                found[place(record.key, partitions)].append((written, seen))
        return found

    def flows(self, since: float, partitions: int) -> bool:
        """Tell whether shadows of every input partition were written and seen after a moment."""
        return all(
            moments and moments[-1][0] > since for moments in self.moments(partitions).values()
        )

    def pauses(self, since: float, until: float, partitions: int) -> list[float]:
        """Give, for each input partition, the longest time without a shadow that began between."""
        found = []
        for moments in self.moments(partitions).values():
            seen = [since, *(at for _, at in moments if at > since), time.time()]
            pairs = itertools.pairwise(seen)
            found.append(max(after - before for before, after in pairs if before < until))
        return found

    def first_seen(self) -> dict[str, float]:
        """Give the moment at which each human was seen first, by its identity."""
        seen = zip(list(self._times), self.records, strict=False)  # Its thread goes on meanwhile.
        found: dict[str, float] = {}
        for (_, _, moment), record in seen:
            found.setdefault(record.fields["unique_id"], moment)
        return found

    def _run(self) -> None:
        while self._going.is_set():
            for message in self._consumer.consume(1000, 0.05):
                if message.error() is None:
                    self.records.append(oracle.record(message))
                    written = message.timestamp()[1] / 1000
                    self._times.append((message.partition() or 0, written, time.time()))
