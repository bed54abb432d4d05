"""Three brokers on 127.0.0.1, each with a second way to it that can be cut for who takes it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from harness.kafka_proxy import KafkaProxy
from harness.kafka_server import KafkaServer, free_ports
from harness.processes import PATIENT_SECONDS, eventually

if TYPE_CHECKING:
    from pathlib import Path

_IDS: Final = (1, 2, 3)
_GROUPS: Final = "__consumer_offsets"
_TRANSACTIONS: Final = "__transaction_state"
# A dead broker is noticed after Kafka's own default, not after that of a single one in a hurry.
_PROPERTIES: Final = """\
node.id={id}
controller.quorum.voters={voters}
listeners=PLAINTEXT://127.0.0.1:{{port}},CUT://127.0.0.1:{way},CONTROLLER://127.0.0.1:{{controller}}
advertised.listeners=PLAINTEXT://127.0.0.1:{{port}},CUT://{proxy}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CUT:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
broker.session.timeout.ms=9000
broker.heartbeat.interval.ms=2000
default.replication.factor=3
min.insync.replicas=2
offsets.topic.replication.factor=3
transaction.state.log.replication.factor=3
transaction.state.log.min.isr=2
"""


class KafkaCluster:
    """Three brokers, each a controller too, with three replicas of which two have to be in step.

    Clients that are given `bootstrap_servers` go to the brokers directly. Those that are given
    `cut_servers` go through a proxy for each broker, and can be cut off from one.
    """

    def __init__(self, directory: Path) -> None:
        ports = {each: (first, second) for each, first, second in zip(_IDS, *_ports(), strict=True)}
        voters = ",".join(f"{each}@127.0.0.1:{ports[each][1]}" for each in _IDS)
        self.proxies: dict[int, KafkaProxy] = {}
        self.brokers: dict[int, KafkaServer] = {}
        for each, way in zip(_IDS, free_ports(len(_IDS)), strict=True):
            self.proxies[each] = KafkaProxy(f"127.0.0.1:{way}")
            properties = _PROPERTIES.format(
                id=each, voters=voters, way=way, proxy=self.proxies[each].address
            )
            place = directory / str(each)
            place.mkdir(parents=True)
            self.brokers[each] = KafkaServer(place, properties, ports=ports[each])
        self.bootstrap_servers = ",".join(each.bootstrap_servers for each in self.brokers.values())
        self.cut_servers = ",".join(each.address for each in self.proxies.values())
        self._client: dict[str, Any] = {"bootstrap.servers": self.bootstrap_servers, "log_level": 0}

    def start(self) -> None:
        """Start all that do not run; returns once they answer and coordinate."""
        with ThreadPoolExecutor(len(_IDS)) as pool:
            list(pool.map(KafkaServer.start, self.brokers.values()))
        self._admin = AdminClient(self._client)
        # The two topics of the coordinators are made when somebody asks for one.
        Producer(self._client | {"transactional.id": "first"}).init_transactions(PATIENT_SECONDS)
        first = Consumer(self._client | {"group.id": "first"})

        def answers() -> bool:
            with suppress(KafkaException):
                first.committed([TopicPartition("none", 0)], timeout=5)
                return True
            return False

        eventually(answers)
        first.close()

    def group_coordinator(self, group: str) -> int:
        """Give the broker that coordinates a consumer group."""
        return self._leader(_GROUPS, group)

    def transaction_coordinator(self, transactional_id: str) -> int:
        """Give the broker that coordinates a transactional id."""
        return self._leader(_TRANSACTIONS, transactional_id)

    def _leader(self, topic: str, name: str) -> int:
        partitions = (
            self._admin.list_topics(topic, timeout=PATIENT_SECONDS).topics[topic].partitions
        )
        return int(partitions[abs(_java_hash(name)) % len(partitions)].leader)

    def close(self) -> None:
        """Leave nothing that runs."""
        for proxy in self.proxies.values():
            proxy.close()
        for broker in self.brokers.values():
            broker.kill()


def _ports() -> tuple[list[int], list[int]]:
    ports = free_ports(2 * len(_IDS))
    return ports[: len(_IDS)], ports[len(_IDS) :]


def _java_hash(text: str) -> int:
    """Hash as Java's String does, by which a coordinator's partition is chosen."""
    value = 0
    for character in text:
        value = (31 * value + ord(character)) & 0xFFFFFFFF
    return value - (1 << 32) if value >= 1 << 31 else value
