"""The harness of chaos can fail: each way to break the commit rule is found, by its name."""

from __future__ import annotations

import re
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

import pytest

from harness import faults
from harness.hurt_worker import RENEWED
from harness.kafka_proxy import KafkaProxy
from harness.processes import PATIENT_SECONDS, eventually
from harness.world import Scene, World

if TYPE_CHECKING:
    from collections.abc import Callable

Found = dict[str, list[Any]]


# Kafka ends none by itself while a slow machine is at one of these.
TRANSACTION_SECONDS: Final = 200


def killed(world: World, point: str) -> None:
    """Kill a worker at a point, and start it again; see what its transaction does to readers."""
    world.stop("a")
    dead = world.start("a", CHAOS_STOP_AT=f"{point}:10:{signal.SIGKILL:d}")
    world.ended("a")
    death = time.time()
    world.start("a").until(f"{RENEWED} ")
    *_, transactional_id = re.findall(rf"{RENEWED} (\S+)", dead.output)
    with closing(KafkaProxy(world.pipeline.bootstrap_servers)) as asking:
        since = asking.open_since(transactional_id)
    if since is not None and since < death:  # Readers wait for its end, which nobody brings about.
        world.held_back.append(transactional_id)
        world.take(transactional_id)
    world.recovered(death, PATIENT_SECONDS)


def asleep(world: World) -> None:
    """Freeze a worker in a transaction until another has judged its records, and wake it."""
    world.stop("a")
    worker = world.start("a", CHAOS_STOP_AT=f"after produce:10:{signal.SIGSTOP:d}")
    assert worker.freezes()
    ends = world.pipeline.ends(world.pipeline.input)
    eventually(lambda: all(at >= ends[n] for n, at in world.pipeline.committed().items()))
    worker.process.send_signal(signal.SIGCONT)
    time.sleep(2)


def storm(world: World) -> None:
    """Let a third worker come and go."""
    for _ in range(3):
        world.start("c").until("assigned")
        world.stop("c")


def whole(world: World) -> None:
    """Do all of it to a worker that is not broken, and more."""
    killed(world, "after send_offsets")
    asleep(world)
    storm(world)
    faults.intrude(world)
    world.supervise()


FAULTS: Final[dict[str | None, Callable[[World], None]]] = {
    None: whole,
    "commit before flush": lambda world: killed(world, "before produce"),
    "at least once": lambda world: killed(world, "after commit"),
    "no rewind": storm,
    "random id": lambda world: killed(world, "during commit"),
    "commit after lost": asleep,
}


@pytest.fixture(scope="module")
def found(
    bootstrap_servers: str, tmp_path_factory: pytest.TempPathFactory
) -> dict[str | None, Found]:
    """Let each way have a world of its own, all at the same time; give what was found in each."""

    def run(broken: str | None) -> Found:
        directory = tmp_path_factory.mktemp("world")
        # What holds readers back is seen by its transaction, not by how long they wait.
        scene = Scene(
            broken=broken,
            rate=300,
            patience=float("inf"),
            transaction_seconds=None if broken is None else TRANSACTION_SECONDS,
        )
        world = World(bootstrap_servers, directory, scene)
        try:
            FAULTS[broken](world)
            return world.finish()
        finally:
            world.close()

    with ThreadPoolExecutor(len(FAULTS)) as pool:
        return dict(zip(FAULTS, pool.map(run, FAULTS), strict=True))


@pytest.mark.parametrize(
    ("broken", "anomaly"),
    [
        ("commit before flush", "lost"),
        ("at least once", "duplicated"),
        ("no rewind", "lost"),
        ("random id", "held back"),
        ("commit after lost", "duplicated"),
    ],
)
def test_a_broken_commit_rule_is_found_by_the_name_of_what_it_does(
    found: dict[str | None, Found], broken: str, anomaly: str
) -> None:
    assert found[broken][anomaly]
    # By what it does, not by a breakage that has fallen behind the code it breaks.
    assert not found[broken]["crashed"]


def test_a_whole_commit_rule_has_no_anomaly(found: dict[str | None, Found]) -> None:
    assert {name: each[:5] for name, each in found[None].items() if each} == {}
