"""The faults of chaos, by name, and the order that a seed puts them in."""

from __future__ import annotations

import random
import signal
import time
from typing import TYPE_CHECKING, Final

from harness.hurt_worker import POINTS
from harness.kafka_frames import TRANSACTIONAL
from harness.kafka_proxy import BREAKS
from harness.world import SESSION_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from harness.world import World


def kill(world: World) -> None:
    """Kill -9 a worker, and start it again soon."""
    name = world.some()
    world.workers[name].kill()
    killed = time.time()
    world.ended(name)
    time.sleep(world.chance.uniform(0, 0.5))
    world.start(name)
    world.note("recovered", worker=name, seconds=world.recovered(killed))


def stop(world: World) -> None:
    """SIGTERM: it has to end with 0."""
    name = world.some()
    world.stop(name)
    world.start(name)


def stop_at_a_point(world: World) -> None:
    """Kill -9 at a named point of the code."""
    name, point = world.some(), world.chance.choice(sorted(POINTS))
    world.stop(name)
    world.start(name, CHAOS_STOP_AT=f"{point}:{world.chance.randint(1, 20)}:9")
    time.sleep(8)


def freeze(world: World) -> None:
    """Freeze a worker past its session, and wake it as a zombie."""
    name = world.some()
    world.workers[name].process.send_signal(signal.SIGSTOP)
    time.sleep(world.chance.uniform(SESSION_SECONDS + 1, SESSION_SECONDS + 6))
    world.workers[name].process.send_signal(signal.SIGCONT)


def freeze_at_a_point(world: World) -> None:
    """Freeze a worker at a named point of the code, another takes over, and wake it."""
    name, point = world.some(), world.chance.choice(sorted(POINTS))
    world.stop(name)
    stops = world.start(name, CHAOS_STOP_AT=f"{point}:{world.chance.randint(1, 20)}:19")
    if stops.freezes(20):
        time.sleep(world.chance.uniform(SESSION_SECONDS + 1, SESSION_SECONDS + 6))
        stops.process.send_signal(signal.SIGCONT)
    else:  # There was not that much to do for it, and later nobody would wake it.
        stops.kill()


def stick(world: World) -> None:
    """Let the sink be stuck past max.poll.interval."""
    name = world.some()
    world.stop(name)
    world.start(name, CHAOS_STOP_AT=f"before produce:{world.chance.randint(1, 10)}:-12")
    time.sleep(14)


def intrude(world: World) -> None:
    """Take a worker's transactional id: it has to end."""
    name = world.some()
    world.intrude(name)
    time.sleep(3)


def storm(world: World) -> None:
    """One worker, two, three and back, every 2 seconds."""
    for _ in range(3):
        world.start("c")
        time.sleep(2)
        world.stop("c")
    world.workers[world.some()].process.send_signal(signal.SIGTERM)
    time.sleep(2)


def widen(world: World) -> None:
    """Add a partition to the input topic."""
    world.add_partition()


def kill_broker(world: World) -> None:
    """Kill -9 the broker and start it again."""
    world.kafka.kill()
    time.sleep(world.chance.uniform(0, 3))
    world.kafka.start()
    time.sleep(5)


def freeze_broker(world: World) -> None:
    """Freeze the broker: shortly, past a request's time-out, or past the transaction's."""
    world.kafka.send_signal(signal.SIGSTOP)
    time.sleep(world.chance.choice([1, 5, 12]))
    world.kafka.send_signal(signal.SIGCONT)
    time.sleep(3)


def fill_disk(world: World) -> None:
    """Leave the broker no room on its disk until it ends, and start it again with room."""
    world.kafka.fill_disk()
    world.kafka.start()
    time.sleep(5)


def late_request(world: World) -> None:
    """Hold a transaction's request back, break its connection, and deliver it later."""
    name, how = world.chance.choice(TRANSACTIONAL), world.chance.choice(BREAKS)
    held = world.proxy.hold(name, how)
    held.wait()
    if how == "silence":  # The client's own patience with it would be ten seconds.
        time.sleep(world.chance.uniform(0, 1))
        held.reset()
    time.sleep(world.chance.uniform(0, 3))
    world.late[held.deliver()] += 1
    world.note("late", request=name, how=how, error=held.error)


def kill_group_coordinator(world: World) -> None:
    """Kill -9 the broker that coordinates the group, and start it again later."""
    _kill_for_a_while(world, world.cluster.group_coordinator(world.pipeline.group))


def kill_transaction_coordinator(world: World) -> None:
    """Kill -9 the broker that coordinates a worker's transactions, and start it again later."""
    transactional_id = world.transactional_id(world.some())
    _kill_for_a_while(world, world.cluster.transaction_coordinator(transactional_id))


def _kill_for_a_while(world: World, broker: int) -> None:
    killed = time.monotonic()
    world.note("killed", broker=broker)
    world.cluster.brokers[broker].kill()
    time.sleep(DEAD_SECONDS)
    world.cluster.brokers[broker].start()
    world.note("started", broker=broker)
    time.sleep(max(0.0, killed + DEAD_SECONDS + ALIVE_SECONDS - time.monotonic()))


DEAD_SECONDS: Final = 12.0
ALIVE_SECONDS: Final = 13.0
COORDINATORS: Final = (kill_group_coordinator, kill_transaction_coordinator)
FAULTS: Final[tuple[Callable[[World], None], ...]] = (
    *(kill, stop, stop_at_a_point, freeze, freeze_at_a_point, stick, intrude, storm, widen),
    *(kill_broker, freeze_broker),
)
_BESIDE: Final = (kill, stop, storm)
_BESIDE_EACH: Final = 10


def late_schedule(seed: int, count: int) -> Iterator[Callable[[World], None]]:
    """Give so many late requests, and another fault now and then."""
    chance = random.Random(seed)
    for number in range(count):
        if number % _BESIDE_EACH == _BESIDE_EACH - 1:
            yield chance.choice(_BESIDE)
        yield late_request


def coordinators_schedule(seed: int) -> Iterator[Callable[[World], None]]:
    """Kill one coordinator after the other, in an order of the seed."""
    chance = random.Random(seed)
    while True:
        yield chance.choice(COORDINATORS)


def schedule(seed: int, *, small_disk: bool) -> Iterator[Callable[[World], None]]:
    """Give faults without end: each once in every round, in an order of the seed."""
    chance = random.Random(seed)
    faults = (*FAULTS, fill_disk) if small_disk else FAULTS
    while True:
        yield from chance.sample(faults, len(faults))
