"""Where contestants are measured: a broker, topics full of ratings, and what a run has given."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import tempfile
import time
import uuid
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson
from confluent_kafka import (
    Consumer,
    IsolationLevel,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec

from domination.humans import encoded, human_ratings
from domination.shadow import judge
from harness.kafka_server import KafkaServer, measured
from harness.processes import ROOT, eventually

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_LOOK_SECONDS: Final = 0.05
_QUIET_SECONDS: Final = 0.4
_OUTPUTS: Final = 3
_START_SECONDS: Final = 90.0
COMMIT_SECONDS: Final = 0.5
"""Between commits under load, of all who let it be chosen: our default."""
_POOL_BYTES: Final = 2_000_000
_TICKS: Final = os.sysconf("SC_CLK_TCK")


class Load(NamedTuple):
    """A topic full of ratings."""

    topic: str
    partitions: int
    types: Mapping[str, int]
    """The type of each human that has a rating, by unique id."""
    bad: int
    """How many records are no rating."""

    @property
    def records(self) -> int:
        """All of them."""
        return len(self.types) + self.bad


class Usage(NamedTuple):
    """What a process has used so far."""

    cpu: float
    """Seconds of all its threads."""
    memory: float
    """Most MB that were resident."""


class Run(NamedTuple):
    """What one run of a contestant has given."""

    records: int
    """Shadows and dead letters that a read_committed reader finds; each has been validated."""
    rate: float
    """Records a second, from the first one appended to the last."""
    later_rate: float
    """The same from the middle record on: a virtual machine has warmed up by then."""
    start: float
    """Seconds from the process's start to its first record."""
    cpu: float
    """Microseconds of CPU a record, of the process, from its first record on."""
    memory: float
    """Most MB that were resident."""


def usage(pid: int) -> Usage:
    """Ask the kernel what a process has used."""
    status = Path(f"/proc/{pid}/status").read_text()
    peak = int(status.partition("VmHWM:")[2].split()[0])
    return Usage(cpu_seconds(Path(f"/proc/{pid}/stat")), peak / 1024)


def cpu_seconds(stat: Path) -> float:
    """Read the CPU seconds of a process, or of one of its threads, from its `stat`."""
    fields = stat.read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


@contextmanager
def arena() -> Iterator[Arena]:
    """Give a broker of its own to measure at, and a directory, gone afterwards."""
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary)
        kafka = KafkaServer(directory, java=measured)
        kafka.start()
        try:
            yield Arena(kafka.bootstrap_servers, directory)
        finally:
            kafka.kill()


class Arena:
    """A broker to measure at. `directory` is for logs, and for what those measured keep."""

    def __init__(self, bootstrap_servers: str, directory: Path) -> None:
        self._client: dict[str, Any] = {"bootstrap.servers": bootstrap_servers, "log_level": 0}
        self._admin = AdminClient(self._client)
        self.directory = directory
        self.bootstrap_servers = bootstrap_servers

    def topic(self, kind: str, partitions: int) -> str:
        """Make a topic whose records have the time at which the broker appended them."""
        name = f"{kind}-{uuid.uuid4().hex[:8]}"
        config = {"message.timestamp.type": "LogAppendTime", "max.message.bytes": "2000000"}
        new = NewTopic(name, partitions, 1, config=config)
        self._admin.create_topics([new])[name].result(30)

        def there() -> bool:  # A broker says that it has made a topic before it leads it.
            try:
                # Its own way to the leaders may keep to a wrong one; this one looks anew.
                self._admin.list_topics(name, timeout=10)
                self._ends([name], partitions)
            except KafkaException:
                return False
            return True

        eventually(there)
        return name

    def load(
        self, count: int, partitions: int, bad: float = 0.0, padding: int = 0, seed: int = 1
    ) -> Load:
        """Fill a topic with ratings, a share of them `bad`, each `padding` bytes longer."""
        topic = self.topic("ratings", partitions)
        own = {"compression.type": "lz4", "linger.ms": 50, "message.max.bytes": 2_000_000}
        producer = Producer(self._client | own | {"acks": "all", "enable.idempotence": True})
        chance = random.Random(seed)
        pool = chance.randbytes(_POOL_BYTES).hex().encode() if padding else b""
        types: dict[str, int] = {}
        for key, value in islice(encoded(human_ratings(seed), bad, seed), count):
            fields = _rating(value) if bad else orjson.loads(value)
            if fields:
                types[fields["unique_id"]] = int(judge(fields["rating"]))
            if padding and fields:
                at = chance.randrange(len(pool) - padding)
                value = b'%b,"more":"%b"}' % (value[:-1], pool[at : at + padding])  # noqa: PLW2901 - the same record
            while True:
                try:
                    producer.produce(topic, value, key)
                except BufferError:  # noqa: PERF203 - the way that backpressure comes
                    producer.poll(0.05)
                else:
                    break
        assert producer.flush(300) == 0
        return Load(topic, partitions, types, count - len(types))

    def environment(self, load: Load) -> dict[str, str]:
        """Make topics for a run, and give what it needs to know."""
        return {
            "PYTHONPATH": os.pathsep.join(
                map(str, (ROOT, ROOT / "tests" / "chaos" / "contenders"))
            ),
            "BENCH_PARTITIONS": str(load.partitions),
            "DOMINATION_KAFKA_BOOTSTRAP_SERVERS": self.bootstrap_servers,
            "DOMINATION_KAFKA_SESSION_TIMEOUT_MS": "10000",
            "DOMINATION_COMMIT_INTERVAL_SECONDS": str(COMMIT_SECONDS),
            "DOMINATION_INPUT_TOPIC": load.topic,
            "DOMINATION_OUTPUT_TOPIC": self.topic("shadows", _OUTPUTS),
            "DOMINATION_DEAD_LETTER_TOPIC": self.topic("dead", _OUTPUTS),
            "DOMINATION_GROUP": f"group-{uuid.uuid4().hex[:8]}",
        }

    def start(self, command: list[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
        """Start a process, its output in a log."""
        with self._log(environment).open("wb") as output:
            return subprocess.Popen(
                command, cwd=ROOT, env={**os.environ, **environment}, stdout=output, stderr=output
            )

    def log(self, environment: dict[str, str]) -> str:
        """Give what a process of this environment has printed."""
        return self._log(environment).read_text()

    def _log(self, environment: dict[str, str]) -> Path:
        return self.directory / f"{environment['DOMINATION_GROUP']}.log"

    def run(
        self, commands: list[list[str]], load: Load, seconds: float, environment: dict[str, str]
    ) -> Run:
        """Let processes work on a load for at most so many seconds, and look at what they did."""
        own = self.environment(load) | environment
        born = time.time()
        processes = [self.start(command, own) for command in commands]
        try:
            self.until(processes, own, 1, _START_SECONDS)
            before = [usage(each.pid) for each in processes]
            seen = self._seen(own)
            self.until(processes, own, load.records, seconds)
            after = [usage(each.pid) for each in processes]
            done = self._seen(own)
        finally:
            for process in processes:
                end(process)
        times = self.validated(own, load)
        assert done < load.records or len(times) == load.records, f"only {len(times)} came"
        middle = len(times) // 2
        cpu = sum(b.cpu - a.cpu for a, b in zip(before, after, strict=True))
        return Run(
            len(times),
            _rate(times),
            _rate(times[middle:]),
            times[0] - born,
            1e6 * cpu / max(done - seen, 1),
            max(each.memory for each in after),
        )

    def drop(self, load: Load) -> None:
        """Delete a topic that is not needed any more."""
        self._admin.delete_topics([load.topic])

    def until(
        self,
        processes: Iterable[subprocess.Popen[bytes]],
        environment: dict[str, str],
        records: int,
        seconds: float,
    ) -> None:
        """Wait until readers may see so many records of a run, or for so long."""
        deadline = time.monotonic() + seconds
        seen, since = 0, time.monotonic()
        while (now := time.monotonic()) < deadline:
            if (found := self._seen(environment)) > seen:
                seen, since = found, now
            # The marks of transactions count as well, so wait for what they may stand for.
            if seen >= records and (records == 1 or now - since > _QUIET_SECONDS):
                return
            ended = [each.poll() for each in processes]
            assert not any(code is not None for code in ended), f"ended with {ended}"
            time.sleep(_LOOK_SECONDS)

    def _seen(self, environment: dict[str, str]) -> int:
        """Count what readers may see: records, and the marks of transactions."""
        return self._ends(_outputs(environment), _OUTPUTS)

    def _ends(self, topics: Iterable[str], partitions: int) -> int:
        """Sum the ends of topics for read_committed readers."""
        places = {
            TopicPartition(topic, partition): OffsetSpec.latest()  # type: ignore[no-untyped-call]  # theirs
            for topic in topics
            for partition in range(partitions)
        }
        found = self._admin.list_offsets(places, isolation_level=IsolationLevel.READ_COMMITTED)
        return sum(future.result().offset for future in found.values())

    def validated(self, environment: dict[str, str], load: Load) -> list[float]:
        """Read what came of a load; give when each record was appended, in order."""
        output, dead = _outputs(environment)
        times: list[float] = []
        missing = dict(load.types)
        for message in self._read(output):
            shadow = orjson.loads(message.value() or b"")
            wanted = missing.pop(shadow["unique_id"], None)
            assert shadow["type"] == wanted, f"{shadow}, wanted {wanted}: twice or misjudged"
            times.append(message.timestamp()[1] / 1000)
        letters = [message.timestamp()[1] / 1000 for message in self._read(dead)]
        assert len(letters) <= load.bad, f"{len(letters)} dead letters of {load.bad}"
        return sorted(times + letters)

    def _read(self, topic: str) -> Iterable[Message]:
        consumer = Consumer(
            self._client
            | {"group.id": "reader", "isolation.level": "read_committed"}
            | {"enable.auto.commit": False, "enable.partition.eof": True}
        )
        consumer.assign([TopicPartition(topic, number, 0) for number in range(_OUTPUTS)])
        ends = 0
        while ends < _OUTPUTS:
            for message in consumer.consume(5000, 1):
                if message.error() is None:
                    yield message
                else:
                    ends += 1
        consumer.close()


def _outputs(environment: dict[str, str]) -> list[str]:
    return [
        environment["DOMINATION_OUTPUT_TOPIC"],
        environment["DOMINATION_DEAD_LETTER_TOPIC"],
    ]


def end(process: subprocess.Popen[bytes]) -> None:
    """Let a process end in good order; what does not within ten seconds is killed."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _rating(value: bytes) -> dict[str, Any] | None:
    try:
        found = orjson.loads(value)
    except orjson.JSONDecodeError:
        return None
    good = isinstance(found, dict) and isinstance(found.get("rating"), int)
    return found if good and "unique_id" in found else None


def _rate(times: list[float]) -> float:
    seconds = times[-1] - times[0] if times else 0.0
    return len(times) / seconds if seconds else 0.0
