"""A worker that is evicted without hearing of it commits nothing of what others have by now."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pytest

from harness.kafka_proxy import KafkaProxy
from harness.pipeline import Pipeline
from harness.processes import HURT
from harness.records import humans

if TYPE_CHECKING:
    from pathlib import Path


class Eviction(NamedTuple):
    """How a worker is evicted without hearing of it."""

    stalled: str
    """What does not come through for as long as a session lasts."""
    answered: str
    """What is answered when it comes through: it is a member again, or knows that it is none."""
    settings: dict[str, str]


EVICTIONS: Final = {
    "cooperative": Eviction("JoinGroup", "SyncGroup", {}),
    "range": Eviction("Heartbeat", "Heartbeat", {"KAFKA_PARTITION_ASSIGNMENT_STRATEGY": "range"}),
    "consumer": Eviction(
        "ConsumerGroupHeartbeat", "ConsumerGroupHeartbeat", {"KAFKA_GROUP_PROTOCOL": "consumer"}
    ),
    "any membership": Eviction("JoinGroup", "SyncGroup", {"CHAOS_BREAK": "any membership"}),
}


def evict(pipeline: Pipeline, proxy: KafkaProxy, go: Path, eviction: Eviction) -> None:
    """Evict a worker with a batch in a slow step; another one judges it all; the step ends."""
    settings = eviction.settings
    if "KAFKA_GROUP_PROTOCOL" not in settings:  # There it is the broker's.
        settings = settings | {"KAFKA_SESSION_TIMEOUT_MS": "6000"}
    pipeline.create(partitions=1)
    own = {"KAFKA_BOOTSTRAP_SERVERS": proxy.address, "CHAOS_STOP_AT": f"before produce:1:{go}"}
    worker = pipeline.worker(command=HURT, INSTANCE="a", **own, **settings)
    worker.until("assigned")
    pipeline.send(humans(2_000))
    stalled = proxy.stall_all(eviction.stalled)
    other = pipeline.worker(command=HURT, INSTANCE="b", **settings)
    first = stalled.wait()
    pipeline.drained()
    stalled.release()
    proxy.answered(eviction.answered, after=first)
    go.touch()
    pipeline.send(humans(500, seed=2))
    pipeline.drained()
    assert [worker.stop(), other.stop()] == [0, 0]


@pytest.fixture(scope="module")
def found(
    bootstrap_servers: str, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, list[Any]]]:
    """Let all evictions happen at the same time; give the anomalies after each."""
    directories = [tmp_path_factory.mktemp(eviction.stalled) for eviction in EVICTIONS.values()]

    def evicted(eviction: Eviction, directory: Path) -> dict[str, list[Any]]:
        pipeline = Pipeline(bootstrap_servers, directory)
        with closing(KafkaProxy(bootstrap_servers)) as proxy:
            try:
                evict(pipeline, proxy, directory / "go", eviction)
                return {name: each for name, each in pipeline.anomalies().items() if each}
            finally:
                pipeline.end()

    with ThreadPoolExecutor(len(EVICTIONS)) as pool:
        each = pool.map(evicted, EVICTIONS.values(), directories)
        return dict(zip(EVICTIONS, each, strict=True))


@pytest.mark.parametrize("protocol", ["cooperative", "range", "consumer"])
def test_what_was_read_under_a_membership_that_is_over_is_not_committed_under_the_next(
    found: dict[str, dict[str, list[Any]]], protocol: str
) -> None:
    assert found[protocol] == {}


def test_a_worker_that_commits_under_any_membership_is_found_out_by_what_it_does(
    found: dict[str, dict[str, list[Any]]],
) -> None:
    assert set(found["any membership"]) == {"duplicated"}
