"""One contender in one scenario: its workers kept alive, traffic, an onlooker, and the verdict."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from harness import oracle
from harness.pipeline import Pipeline
from harness.processes import ROOT, Worker
from harness.traffic import PARTITIONS, Onlooker, Traffic
from harness.world import SESSION_SECONDS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from harness.contender import Contender
    from harness.kafka_proxy import KafkaProxy
    from harness.late import Delivery

# Those of records: the contenders keep offsets and bad ratings in ways of their own.
ANOMALIES: Final = (
    *("lost", "duplicated", "invented", "wrong type", "out of order", "aborted read"),
)
_SETTINGS: Final = {"KAFKA_SESSION_TIMEOUT_MS": str(SESSION_SECONDS * 1000), "LOG_LEVEL": "debug"}
_START_SECONDS: Final = 90
_JOIN_SECONDS: Final = 15
_STOP_SECONDS: Final = 15
# Longer than a transaction of a dead producer can hold readers back: 60 s, looked at every 10 s.
_QUIET_SECONDS: Final = 75
_RESTARTED_QUIET_SECONDS: Final = 30
_LONGEST_SECONDS: Final = 250


class Result(NamedTuple):
    """What came of a trial."""

    contender: str
    scenario: str
    seed: int
    sent: int
    counts: dict[str, int]
    """Of each anomaly."""
    examples: dict[str, list[str]]
    """Some of each."""
    slowest_seconds: float
    """The longest that a shadow took from its rating's sending until a reader saw it, of those
    sent once the first had been seen."""
    ends: dict[str, int]
    """How often its workers ended with each exit code."""
    started: bool = True
    """Whether any shadow came before the first fault."""
    stood_still: bool = False
    """Whether some shadows came only once all its workers had been killed and started again."""
    late: Sequence[Delivery] = ()
    """Its requests that came late; none where the scenario has none."""
    wire: dict[str, str] = {}  # noqa: RUF012 - nobody changes it
    """The versions and epochs of its transactional requests, seen by its proxy."""


class Trial:
    """A contender's workers, as a supervisor keeps them, in a pipeline of their own."""

    def __init__(
        self,
        contender: Contender,
        bootstrap_servers: str,
        directory: Path,
        seed: int,
        proxy: KafkaProxy | None = None,
    ) -> None:
        directory.mkdir(parents=True)
        self.contender = contender
        self.chance = random.Random(seed)
        self._directory = directory
        self._seed = seed
        self.pipeline = Pipeline(bootstrap_servers, directory).create(
            PARTITIONS, outputs=PARTITIONS
        )
        self.pipeline.environment |= {"PYTHONPATH": str(ROOT), "TMPDIR": str(directory)}
        self._ends: Counter[str] = Counter()
        self._started: float | None = None
        """When the first shadow was seen."""
        self.workers: dict[str, Worker] = {}
        self.proxy = proxy
        """Between the workers and the broker, if anything is; all others go to the broker."""
        self.late: list[Delivery] = []
        self._stood_still = False

    def begin(self, rate: int) -> None:
        """Start the workers and the traffic, and wait until shadows come."""
        if self.contender.prepare:
            command = self.contender.command(self.contender.prepare, self._directory, 2)
            subprocess.run(command, cwd=ROOT, check=True)
        for name in ("a", "b") if self.contender.shares else ("a",):
            self.start(name)
        self._onlooker = Onlooker(self.pipeline)
        self._traffic = Traffic(self.pipeline, self._seed, rate)
        deadline = time.monotonic() + _START_SECONDS
        while self._started is None and time.monotonic() < deadline:
            self.rest(0.2)
            if self._onlooker.records:
                self._started = time.time()

    def start(self, name: str, workers: int = 2) -> None:
        """Start a worker process of this name; where it has all workers, so many of them."""
        command = self.contender.command(self.contender.arguments, self._directory, workers)
        way = {"KAFKA_BOOTSTRAP_SERVERS": self.proxy.address} if self.proxy else {}
        settings = {"INSTANCE": name, **way, **_SETTINGS}
        self.workers[name] = self.pipeline.worker(command=command, **settings)

    def rest(self, seconds: float) -> None:
        """Let time pass, and start again what has ended by itself, as a supervisor would."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            for name, worker in list(self.workers.items()):
                if worker.process.poll() is not None:
                    self._ended(worker)
                    self.start(name)
            time.sleep(min(left, 0.2))

    def some(self) -> str:
        """Choose a worker process to suffer."""
        return self.chance.choice(sorted(self.workers))

    def kill(self, name: str) -> None:
        """Kill -9 a worker process, and start it again soon."""
        self.workers[name].kill()
        self._ended(self.workers[name])
        time.sleep(self.chance.uniform(0, 0.5))
        self.start(name)

    def freeze(self, name: str, seconds: float) -> None:
        """Freeze a worker process, let another do its work, and wake it as a zombie.

        In a group the others take over. Without one a supervisor that has lost sight of it starts
        another in its place, and ends the zombie when it finds that there are two.
        """
        frozen = self.workers[name]
        frozen.process.send_signal(signal.SIGSTOP)
        if not self.contender.shares:
            self.start(name)
        self.rest(seconds)
        frozen.process.send_signal(signal.SIGCONT)
        self.rest(3)
        if self.workers[name] is not frozen and not self.contender.shares:
            self._stop(frozen)

    def scale(self, workers: int) -> None:
        """Have two workers or three: one comes or goes, or the cluster is started with so many.

        A third one has joined the group when this returns, if it does so in time.
        """
        if not self.contender.shares:
            self._stop(self.workers.pop("a"))
            self.start("a", workers)
        elif "c" in self.workers:
            self._stop(self.workers.pop("c"))
        else:
            self.start("c")
            deadline = time.monotonic() + _JOIN_SECONDS
            while self.pipeline.members() < workers and time.monotonic() < deadline:
                self.rest(0.2)

    def finish(self, scenario: str) -> Result:
        """Let everything come to rest; give what came of it."""
        self._traffic.finish()
        self.pipeline.sent = self._traffic.sent
        self._come_to_rest()
        for worker in self.workers.values():
            self._stop(worker)
        self._onlooker.finish()
        found = oracle.anomalies(self.pipeline.history({}, self._onlooker.records))
        return Result(
            self.contender.name,
            scenario,
            self._seed,
            len(self._traffic.sent),
            {name: len(found[name]) for name in ANOMALIES},
            {name: [str(each) for each in found[name][:5]] for name in ANOMALIES if found[name]},
            round(self._slowest(), 1),
            dict(self._ends),
            self._started is not None,
            self._stood_still,
        )

    def _stop(self, worker: Worker) -> None:
        worker.process.send_signal(signal.SIGTERM)
        worker.ends(_STOP_SECONDS)
        self._ended(worker)

    def _ended(self, worker: Worker) -> None:
        self._ends[str(worker.wait())] += 1

    def _come_to_rest(self) -> None:
        deadline = time.monotonic() + _LONGEST_SECONDS
        count, last, before = 0, time.monotonic(), None
        while (now := time.monotonic()) < deadline:
            if count != len(self._onlooker.records):
                count, last = len(self._onlooker.records), now
            found = len(self._onlooker.first_seen())
            self._stood_still = before is not None and found > before
            everything = found >= len(self._traffic.sent)
            quiet = _QUIET_SECONDS if before is None else _RESTARTED_QUIET_SECONDS
            if now - last > (3 if everything else quiet):
                if everything or before is not None:
                    return
                # What a worker has not written because it hangs is not lost.
                before, last = found, now
                for name in list(self.workers):
                    self.kill(name)
            self.rest(1)

    def _slowest(self) -> float:
        sent: dict[Any, float] = {
            orjson.loads(each.value() or b"")["unique_id"]: each.timestamp()[1] / 1000
            for each in self.pipeline.read(self.pipeline.input).records
        }
        seen = self._onlooker.first_seen()
        times = [(sent[each], seen[each]) for each in seen.keys() & sent.keys()]
        return max((b - a for a, b in times if a > (self._started or 0)), default=0.0)
