"""Three brokers: a coordinator is killed, or a worker is cut off from one and others are not."""

from __future__ import annotations

import json
import signal
import time
from itertools import count
from typing import TYPE_CHECKING
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from chaos_cluster import PARTITIONS, scene
from conftest import need
from harness.kafka_cluster import KafkaCluster
from harness.kafka_server import free_ports, why_not
from harness.processes import PATIENT_SECONDS, eventually
from harness.world import World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_NOBODY = -1
"""Leads a partition while its leader is known to be dead and there is no other yet."""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaCluster]:
    """Give three brokers."""
    need("Kafka", why_not())
    made = KafkaCluster(tmp_path_factory.mktemp("cluster"))
    try:
        made.start()
        yield made
    finally:
        made.close()


@pytest.fixture
def world(cluster: KafkaCluster, tmp_path: Path) -> Iterator[World]:
    """Give two workers that are at work on them."""
    made = World(cluster.bootstrap_servers, tmp_path, scene(seed=1, rate=200), cluster=cluster)
    try:
        flows(made, time.time())
        yield made
    finally:
        made.traffic.finish()
        made.onlooker.finish()
        made.close()


def flows(world: World, since: float) -> None:
    """Wait until records of every partition come again."""
    eventually(
        lambda: world.onlooker.flows(since, PARTITIONS),
        what=lambda: world.pipeline.outputs()[-5000:],
    )


def whole(world: World) -> None:
    """Assert that no worker has ended, and each record has one outcome."""
    assert not world.ends, world.pipeline.outputs()[-5000:]
    found = world.finish()
    assert {name: each[:5] for name, each in found.items() if each} == {}


def killed_for_a_while(cluster: KafkaCluster, coordinator: Callable[[], int]) -> None:
    """Kill a coordinator, and start it again once another broker has taken its place."""
    broker = coordinator()
    cluster.brokers[broker].kill()
    eventually(lambda: coordinator() not in {broker, _NOBODY})
    cluster.brokers[broker].start()


def test_coordinators_that_are_killed_end_no_worker(world: World) -> None:
    cluster = world.cluster
    group, transactional_id = world.pipeline.group, world.transactional_id("a")
    killed_for_a_while(cluster, lambda: cluster.group_coordinator(group))
    flows(world, time.time())
    killed_for_a_while(cluster, lambda: cluster.transaction_coordinator(transactional_id))
    flows(world, time.time())
    whole(world)


def asked(port: int, path: str) -> tuple[int, list[str]]:
    """Ask a worker's HTTP server; give the status and the reasons."""
    try:
        with urlopen(f"http://127.0.0.1:{port}{path}", timeout=PATIENT_SECONDS) as answer:
            return answer.status, json.load(answer)["reasons"]
    except HTTPError as error:
        return error.code, json.load(error)["reasons"]


def own_coordinator(world: World) -> tuple[list[str], int]:
    """Find two names whose transactions have one coordinator, and it is not the group's."""
    cluster, found = world.cluster, dict[int, list[str]]()
    theirs = cluster.group_coordinator(world.pipeline.group)
    for name in map("cut-{}".format, count()):
        broker = cluster.transaction_coordinator(world.transactional_id(name))
        found.setdefault(broker, []).append(name)
        if broker != theirs and len(found[broker]) == 2:
            return found[broker], broker
    raise AssertionError


def test_a_worker_cut_off_from_its_transactions_coordinator_leaves_its_partitions_to_another(
    world: World,
) -> None:
    cluster = world.cluster
    world.stop("a")
    names, coordinator = own_coordinator(world)
    ports = free_ports(2)
    for name, instance, port in zip(("a", "c"), names, ports, strict=True):
        way = cluster.cut_servers
        worker = world.start(name, INSTANCE=instance, KAFKA_BOOTSTRAP_SERVERS=way, HTTP=str(port))
        worker.until("assigned")
    for port in ports:
        eventually(lambda port=port: asked(port, "/readyz")[0] == 200)  # type: ignore[misc]
    flows(world, time.time())

    cluster.proxies[coordinator].passing.clear()
    for name in ("a", "c"):
        # After 15 s; who goes on trying ends after 120.
        world.workers[name].until(
            "leaving the group, so that others take its partitions: no progress for", 90
        )
    flows(world, time.time())
    assert asked(ports[0], "/healthz")[0] == 200
    status, (reason,) = asked(ports[0], "/readyz")
    assert status == 503
    assert "has left the group: no progress for" in reason

    assert world.workers["c"].stop(signal.SIGTERM, 60) == 0

    cluster.proxies[coordinator].passing.set()
    world.workers["a"].until("joining the group again")
    eventually(lambda: asked(ports[0], "/readyz")[0] == 200)
    flows(world, time.time())
    # Only the one that was cut off has left; what it waits for at its end is not its own.
    assert "leaving the group" not in world.workers["b"].output
    world.ends.clear()
    whole(world)
