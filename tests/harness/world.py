"""The world that chaos happens to: a broker, two workers, traffic, and an onlooker."""

from __future__ import annotations

import random
import signal
import statistics
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson
from confluent_kafka import KafkaException, Producer

from harness import oracle
from harness.kafka_proxy import KafkaProxy
from harness.pipeline import Pipeline
from harness.processes import HURT, PATIENT_SECONDS, Worker, eventually
from harness.traffic import PARTITIONS, SHORT, Onlooker, Traffic

if TYPE_CHECKING:
    from harness.kafka_cluster import KafkaCluster
    from harness.kafka_server import KafkaServer

MOST_PARTITIONS: Final = 8
SESSION_SECONDS: Final = 6
# Ends that a supervisor answers with a new start. Anything else is a crash.
EXPECTED: Final = frozenset({0, 69, 75, -9})
PROTOCOLS: Final[dict[str, dict[str, str]]] = {
    "cooperative": {},
    "range": {"KAFKA_PARTITION_ASSIGNMENT_STRATEGY": "range"},
    "consumer": {"KAFKA_GROUP_PROTOCOL": "consumer"},
}


class Scene(NamedTuple):
    """What kind of world it is."""

    seed: int = 1
    protocol: str = "cooperative"
    """Of the consumer group."""
    rate: int = 1_000
    """Ratings a second."""
    broken: str | None = None
    """How the workers break the commit rule."""
    spared: bool = False
    """Whether worker b is let live, to see that it does not grow."""
    patience: float = 3.0
    """Seconds in the median, from a kill until records come again in every partition."""
    transaction_seconds: float | None = None
    """How long Kafka lets a transaction be open, where that is not what it is by default."""
    late: bool = False
    """Whether requests of the workers come late now and then."""
    partitions: int = PARTITIONS
    """Of the input topic, at first."""
    plain: bool = False
    """Whether workers have the settings that they have by default, and no transaction aborts."""
    expected: frozenset[int] = EXPECTED
    """Exit codes of workers that are no crash."""


class World:
    """A broker, two workers that are kept alive, traffic and an onlooker."""

    def __init__(
        self,
        bootstrap_servers: str,
        directory: Path,
        scene: Scene,
        kafka: KafkaServer | None = None,
        cluster: KafkaCluster | None = None,
    ) -> None:
        self.chance = random.Random(scene.seed)
        self.pipeline = Pipeline(bootstrap_servers, directory).create(scene.partitions)
        self._kafka = kafka
        self._cluster = cluster
        self._expected = scene.expected
        self._spared = scene.spared
        self._patience = scene.patience
        self._settings = PROTOCOLS[scene.protocol] | {
            "KAFKA_TOPIC_METADATA_REFRESH_INTERVAL_MS": "1000",
            "KAFKA_MAX_POLL_INTERVAL_MS": "8000",
            "AVAILABILITY_TIMEOUT_SECONDS": "60",
        }
        if scene.protocol != "consumer":
            self._settings["KAFKA_SESSION_TIMEOUT_MS"] = str(SESSION_SECONDS * 1000)
        if scene.plain:
            self._settings = {}
        self._proxy = KafkaProxy(bootstrap_servers) if scene.late else None
        if self._proxy:
            self._settings["KAFKA_BOOTSTRAP_SERVERS"] = self._proxy.address
        self.late: Counter[int] = Counter()
        """How often Kafka answered a late request with each error code; 0 is none."""
        self._hurt = {"CHAOS_BREAK": scene.broken} if scene.broken else {}
        if scene.transaction_seconds:
            self._hurt["CHAOS_TRANSACTION_SECONDS"] = str(scene.transaction_seconds)
        self.ends: Counter[int] = Counter()
        """How often a worker ended with each exit code."""
        self.stuck: list[str] = []
        """Workers that did not end when they were told to."""
        self.samples: list[dict[str, int]] = []
        self.held_back: list[str] = []
        """Transactional ids of the dead whose transactions held readers back."""
        self.gaps: list[float] = []
        """Seconds from each kill until records came again in every partition."""
        self.workers: dict[str, Worker] = {}
        self._history = (directory / "history.jsonl").open("w")
        self._born = time.monotonic()
        for name in ("a", "b"):
            self.start(name)
        self.workers["b"].until("assigned")
        self.traffic = Traffic(
            self.pipeline,
            scene.seed,
            scene.rate,
            list(SHORT),
            aborting=not scene.plain,
            partitions=scene.partitions,
        )
        self.onlooker = Onlooker(self.pipeline)

    def note(self, what: str, **more: object) -> None:
        """Write an event into the history."""
        at = round(time.monotonic() - self._born, 3)
        self._history.write(orjson.dumps({"at": at, "what": what, **more}).decode() + "\n")
        self._history.flush()

    def start(self, name: str, **environment: str) -> Worker:
        """Start a worker of this name."""
        settings = self._settings | self._hurt | {"INSTANCE": name} | environment
        self.workers[name] = self.pipeline.worker(command=HURT, **settings)
        self.note("start", worker=name, **environment)
        return self.workers[name]

    @property
    def kafka(self) -> KafkaServer:
        """The broker, where it is this world's own."""
        assert self._kafka
        return self._kafka

    @property
    def cluster(self) -> KafkaCluster:
        """The three brokers, where they are this world's own."""
        assert self._cluster
        return self._cluster

    @property
    def proxy(self) -> KafkaProxy:
        """The workers' way to the broker, where requests may come late."""
        assert self._proxy
        return self._proxy

    def stop(self, name: str) -> int:
        """Let a worker end in good order, or of itself; give its exit code."""
        worker = self.workers[name]
        # Before its first line it has no handler for the signal yet.
        eventually(lambda: worker.process.poll() is not None or "kafka " in worker.output)
        worker.process.send_signal(signal.SIGTERM)
        return self.ended(name)

    def some(self) -> str:
        """Choose one of the two workers to suffer."""
        return "a" if self._spared else self.chance.choice("ab")

    def sample(self) -> None:
        """Measure worker b: memory in MB, threads, open files."""
        worker = self.workers["b"].process
        if worker.poll() is not None:
            return
        process = Path(f"/proc/{worker.pid}")
        status = dict(
            line.split(":\t", 1) for line in (process / "status").read_text().splitlines()
        )
        if "VmRSS" not in status:
            return  # It has just ended.
        measures = {
            "memory": int(status["VmRSS"].split()[0]) // 1024,
            "threads": int(status["Threads"]),
            "open files": len(list((process / "fd").iterdir())),
        }
        self.samples.append(measures)
        self.note("sample", **measures)

    def grown(self) -> list[tuple[str, float, float]]:
        """Give the measures that were a fifth higher in the last third than in the second."""
        third = len(self.samples) // 3
        found = []
        for name in self.samples[0] if third else ():
            before, after = (
                statistics.median(sample[name] for sample in part)
                for part in (self.samples[third : 2 * third], self.samples[-third:])
            )
            if after > 1.2 * before:
                found.append((name, before, after))
        return found

    def ended(self, name: str, seconds: float = PATIENT_SECONDS) -> int:
        """Wait for a worker's end and note its exit code; one that does not end is killed."""
        if not self.workers[name].ends(seconds):
            self.stuck.append(name)
        code = self.workers[name].wait()
        self.ends[code] += 1
        self.note("end", worker=name, code=code)
        return code

    def supervise(self) -> None:
        """Start again what has ended by itself, as a supervisor would."""
        for name in ("a", "b"):
            if self.workers[name].process.poll() is not None:
                self.ended(name)
                self.start(name)

    def transactional_id(self, name: str) -> str:
        """Give that of a worker."""
        return f"domination/{self.pipeline.group}/{name}-0"

    def intrude(self, name: str) -> None:
        """Take a worker's transactional id."""
        self.take(self.transactional_id(name))

    def take(self, transactional_id: str) -> None:
        """Take an id, which ends its open transaction."""
        intruder = Producer(
            {
                "bootstrap.servers": self.pipeline.bootstrap_servers,
                "transactional.id": transactional_id,
                "log_level": 0,
            }
        )
        intruder.init_transactions(PATIENT_SECONDS)

    def add_partition(self) -> None:
        """Make the input topic wider, up to a limit."""
        if self.traffic.partitions < MOST_PARTITIONS:
            self.pipeline.add_partitions(self.traffic.partitions + 1)
            self.traffic.widen(self.traffic.partitions + 1)

    def finish(self) -> dict[str, list[Any]]:
        """Let everything come to rest; give the anomalies by name."""
        self.supervise()
        self.traffic.finish()
        self.pipeline.sent = self.traffic.sent
        self._drain()
        for name in ("a", "b"):
            self.stop(name)
        self.onlooker.finish()
        slow = statistics.median(self.gaps or [0]) >= self._patience
        return oracle.anomalies(self.pipeline.history(SHORT, self.onlooker.records)) | {
            "crashed": [code for code in self.ends if code not in self._expected],
            "stuck": self.stuck,
            "held back": [*self.held_back, *(self.gaps if slow else ())],
            "grown": self.grown(),
        }

    def _drain(self) -> None:
        deadline = time.monotonic() + 180
        while time.monotonic() < deadline:
            self.supervise()
            try:
                self.pipeline.drained(15)
            except (AssertionError, KafkaException):
                continue
            return
        self.note("not drained")

    def recovered(self, since: float, seconds: float = 20) -> float | None:
        """Wait until records come again in every partition; give how long that took."""
        while time.time() < since + seconds:
            if (gap := self.onlooker.gap(since)) is not None:
                self.gaps.append(gap)
                return gap
            time.sleep(0.05)
        self.gaps.append(seconds)
        return None

    def close(self) -> None:
        """Leave no worker."""
        self.pipeline.end()
        if self._proxy:
            self._proxy.close()
        self._history.close()
