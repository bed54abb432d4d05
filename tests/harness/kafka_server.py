"""A real Kafka for the tests, without Docker: one KRaft node from its Maven artifacts."""

from __future__ import annotations

import fcntl
import itertools
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

POM = Path(__file__).parent / "kafka" / "pom.xml"
LIBS = Path(__file__).parent.parent.parent / ".kafka" / "libs"
CLASSES = LIBS.parent / "classes.jsa"

START_SECONDS = 300
# Below those that Linux takes for what asks for any, and above those of known servers.
_PORTS: Final = range(20_000, 32_000)
_CHANCE: Final = random.SystemRandom()
_claims: list[socket.socket] = []
# A test's broker ends before its best machine code would pay.
_SHORT_LIVED: Final = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")

PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
log.dirs={disk}/data
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
group.initial.rebalance.delay.ms=0
# One that was killed is let in again once its old registration has timed out.
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
group.consumer.session.timeout.ms=6000
group.consumer.min.session.timeout.ms=6000
group.consumer.heartbeat.interval.ms=1000
group.consumer.min.heartbeat.interval.ms=1000
"""


def why_not() -> str | None:
    """Say what is missing for a Kafka here, if anything."""
    missing = [program for program in ("java", "mvn") if not shutil.which(program)]
    return (
        f"no {' and no '.join(missing)}, and no DOMINATION_TEST_BOOTSTRAP_SERVERS"
        if missing
        else None
    )


def download() -> None:
    """Fetch the jars and keep their classes, once for this checkout."""
    LIBS.parent.mkdir(exist_ok=True)
    with (LIBS.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = LIBS.parent / "done"
        if done.exists() and done.stat().st_mtime > POM.stat().st_mtime:
            return
        shutil.rmtree(LIBS, ignore_errors=True)  # Of another version.
        copy = ["mvn", "-q", "-B", "-f", str(POM), "dependency:copy-dependencies"]
        subprocess.run([*copy, f"-DoutputDirectory={LIBS}"], check=True)
        _keep_classes()
        done.touch()


def _keep_classes() -> None:
    """Let a broker run once; others load its classes as it leaves them, with a third of the CPU."""
    CLASSES.unlink(missing_ok=True)
    keep = (f"-XX:ArchiveClassesAtExit={CLASSES}", *_SHORT_LIVED)
    with TemporaryDirectory() as directory:
        first = KafkaServer(Path(directory), java=lambda: keep)
        first.start()
        first.stop()


def short_lived() -> Sequence[str]:
    """Give the options of Java for a broker that starts soon, and need not be the fastest."""
    download()
    return (f"-XX:SharedArchiveFile={CLASSES}", *_SHORT_LIVED)


def measured() -> Sequence[str]:
    """Give the options of Java for a broker that benchmarks use: none but those of all."""
    download()
    return ()


def _command(options: Sequence[str], main: str, *arguments: object) -> list[str]:
    """Give the command that runs a program of Kafka's."""
    java = ("java", "-Xms256m", "-Xmx768m", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn")
    return [*java, *options, "-cp", f"{LIBS}/*", main, *map(str, arguments)]


def set_quota(servers: str, client: str, bytes_a_second: int | None) -> None:
    """Let a client of a broker write only so much, or as much as it can."""
    change = (
        ("--delete-config", "producer_byte_rate")
        if bytes_a_second is None
        else ("--add-config", f"producer_byte_rate={bytes_a_second}")
    )
    entity = ("--entity-type", "clients", "--entity-name", client)
    asked = ("--bootstrap-server", servers, "--alter", *entity, *change)
    command = _command(short_lived(), "kafka.admin.ConfigCommand", *asked)
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def free_ports(count: int) -> list[int]:
    """Give ports where nobody listens; no other process of tests gets them while this one lives.

    The kernel gives none of them away by itself, to a server without a port or to a client, while
    a broker that was killed is down or another server starts.
    """
    return list(itertools.islice(filter(_take, _CHANCE.sample(_PORTS, len(_PORTS))), count))


def _take(port: int) -> bool:
    claim = socket.socket(socket.AF_UNIX)
    try:
        claim.bind(f"\0domination-tests-{port}")
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        claim.close()
        return False
    _claims.append(claim)
    return True


@contextmanager
def small_disk(directory: Path, megabytes: int = 2048) -> Iterator[bool]:
    """Give a directory a file system of its own, in memory; tell whether this machine lets us."""
    directory.mkdir(exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(directory)]
    mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(directory)], check=True)


class KafkaServer:
    """One broker on 127.0.0.1 with its data in a directory; it may be killed and started again.

    `properties` win over those of here; `options` are for the tool that formats the directory. One
    of several has its `ports`, of its clients and of its controller, from who knows them all.
    `java` gives options of Java.
    """

    def __init__(
        self,
        directory: Path,
        properties: str = "",
        *options: str,
        ports: tuple[int, int] | None = None,
        java: Callable[[], Sequence[str]] = short_lived,
    ) -> None:
        self._options = java()
        port, controller = ports or free_ports(2)
        self.bootstrap_servers = f"127.0.0.1:{port}"
        self._output = directory / "kafka.log"
        self._disk = directory / "disk"
        self._disk.mkdir(exist_ok=True)
        self._config = directory / "server.properties"
        self._config.write_text(
            (PROPERTIES + properties).format(port=port, controller=controller, disk=self._disk)
        )
        self._process: subprocess.Popen[bytes] | None = None
        cluster = "MkU3OEVBNTcwNTJENDM2Qg"
        tool = ("kafka.tools.StorageTool", "format", "-t", cluster, "-c", self._config)
        self._java(*tool, *options).wait()

    def _java(self, main: str, *arguments: object) -> subprocess.Popen[bytes]:
        with self._output.open("ab") as log:
            command = _command(self._options, main, *arguments)
            return subprocess.Popen(command, stdout=log, stderr=log)

    def start(self) -> None:
        """Start it, unless it runs; returns once it answers."""
        if self._process:
            return
        self._process = self._java("kafka.Kafka", self._config)
        client = AdminClient(
            {
                "bootstrap.servers": self.bootstrap_servers,
                "log_level": 0,
                "reconnect.backoff.max.ms": 500,
            }
        )
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            assert self._process.poll() is None, self._output.read_text()[-2000:]
            try:
                client.list_topics(timeout=1)
            except KafkaException:
                time.sleep(0.1)
            else:
                return
        raise AssertionError("Kafka does not answer: " + self._output.read_text()[-2000:])

    def send_signal(self, number: signal.Signals) -> None:
        """Freeze it (SIGSTOP) or wake it (SIGCONT), if it runs."""
        if self._process:
            self._process.send_signal(number)

    def fill_disk(self, seconds: float = 60) -> None:
        """Leave it no room to write, and wait for its end; then there is room again."""
        assert self._process
        ballast = self._disk / "ballast"
        with ballast.open("wb") as file:
            free = os.fstatvfs(file.fileno())
            # Not all of it, which may be less by now; traffic soon fills the rest.
            os.posix_fallocate(file.fileno(), 0, free.f_bavail * free.f_frsize - 2_000_000)
        try:
            self._process.wait(seconds)
        finally:
            ballast.unlink()
            self.kill()

    def log(self, topic: str, partition: int) -> Path:
        """Give the directory of a partition's log."""
        return self._disk / "data" / f"{topic}-{partition}"

    def stop(self) -> None:
        """Let it end in good order."""
        if self._process:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(START_SECONDS)
            self._process = None

    def kill(self) -> None:
        """Kill it with -9, as a power cut would."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None
