"""A broker that answers, and advertises an address at which nobody does."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final, NamedTuple

import pytest
from confluent_kafka import KafkaException

from conftest import need
from domination.exactly_once.preflight import KafkaPreflight
from domination.kafka.client import Connection
from domination.kafka.cluster import Cluster
from domination.kafka.tail import from_first
from harness import kafka_server
from harness.pipeline import Pipeline
from harness.processes import DOMINATION, run

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from domination.kafka.faults import UnavailableError

KINDS: Final = ("REFUSED", "SILENT", "UNKNOWN")
PROPERTIES: Final = """\
listeners=PLAINTEXT://127.0.0.1:{{port}},CONTROLLER://127.0.0.1:{{controller}},{listeners}
advertised.listeners=PLAINTEXT://127.0.0.1:{{port}},{advertised}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,{protocols}
"""


class Site(NamedTuple):
    """One broker: where all is well, and where each kind of a wrong address is advertised."""

    servers: str
    begin: Mapping[str, str]
    advertised: Mapping[str, str]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    need("Kafka", kafka_server.why_not())
    with ExitStack() as stack:
        silent = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        *ports, closed = kafka_server.free_ports(len(KINDS) + 1)
        begin = {kind: f"127.0.0.1:{port}" for kind, port in zip(KINDS, ports, strict=True)}
        advertised = {
            "REFUSED": f"127.0.0.1:{closed}",
            "SILENT": f"127.0.0.1:{silent.getsockname()[1]}",
            "UNKNOWN": "kafka.invalid:9092",
        }
        properties = PROPERTIES.format(
            listeners=",".join(f"{kind}://{address}" for kind, address in begin.items()),
            advertised=",".join(f"{kind}://{address}" for kind, address in advertised.items()),
            protocols=",".join(f"{kind}:PLAINTEXT" for kind in KINDS),
        )
        server = kafka_server.KafkaServer(tmp_path_factory.mktemp("kafka"), properties)
        stack.callback(server.kill)
        server.start()
        yield Site(server.bootstrap_servers, begin, advertised)


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        *(("check kafka", kind) for kind in KINDS),
        ("topics", "REFUSED"),
        ("worker", "SILENT"),
        ("produce --count 1", "REFUSED"),
        ("dead-letters list", "SILENT"),
        ("dead-letters show 0:0", "REFUSED"),
        ("dead-letters replay", "UNKNOWN"),
        ("rewind --to earliest", "REFUSED"),
    ],
)
def test_the_address_that_a_broker_advertises_in_vain_is_named_in_one_line_with_69(
    site: Site, tmp_path: Path, command: str, kind: str
) -> None:
    pipeline = Pipeline(site.servers, tmp_path)
    if command != "topics":
        pipeline.create()
    changed = {
        "DOMINATION_KAFKA_BOOTSTRAP_SERVERS": site.begin[kind],
        "DOMINATION_AVAILABILITY_TIMEOUT_SECONDS": "5",
        "DOMINATION_LOG_LEVEL": "error",
    }
    ended = run(*DOMINATION, *command.split(), environment=pipeline.environment | changed)
    assert ended.returncode == 69, ended.stdout + ended.stderr
    (line,) = [
        each for each in (ended.stdout + ended.stderr).splitlines() if not each.startswith("ok ")
    ]
    assert f"no broker at {site.advertised[kind]} (" in line
    assert f"the address that {site.begin[kind]} advertises; make it reachable" in line


def test_a_new_topic_is_filled_at_once_although_its_leaders_may_not_know_of_it_yet(
    site: Site, tmp_path: Path
) -> None:
    pipeline = Pipeline(site.servers, tmp_path)
    for command in ("topics", "produce --count 1"):
        ended = run(*DOMINATION, *command.split(), environment=pipeline.environment)
        assert ended.returncode == 0, ended.stderr


def test_a_leader_that_does_not_answer_tells_no_offset(site: Site, tmp_path: Path) -> None:
    pipeline = Pipeline(site.servers, tmp_path).create()
    places = from_first(pipeline.input, 4)
    cut_off = Cluster(Connection({"bootstrap.servers": site.begin["REFUSED"]}), 2)
    with pytest.raises(KafkaException, match="no answer of the leader"):
        cut_off.end_offsets(places)


@pytest.mark.parametrize("kind", KINDS)
def test_a_worker_that_gives_up_can_find_the_address(site: Site, kind: str) -> None:
    def look(servers: str) -> UnavailableError | None:
        needed = {"any": "READ"}
        return KafkaPreflight(Connection({"bootstrap.servers": servers}), needed).unreachable()

    assert look(site.servers) is None
    assert f"no broker at {site.advertised[kind]} (" in str(look(site.begin[kind]))
