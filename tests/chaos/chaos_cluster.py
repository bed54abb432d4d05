"""Chaos on three brokers: the coordinator of the group or of a worker's transactions is killed.

`make chaos-cluster` runs it for ten minutes, `make chaos-cluster SECONDS=240 SEED=7` shorter. Each
25 seconds a coordinator is killed; it is started again after 12. Ends with 1 on any anomaly, also
on a worker that ended at all.
"""

from __future__ import annotations

import itertools
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from chaos import run, table
from harness.faults import coordinators_schedule
from harness.kafka_cluster import KafkaCluster
from harness.world import Scene, World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

PARTITIONS: Final = 8
LIMITS: Final = (15, 30)
_TOLD: Final = ("evicted from the group", "leaving the group", "joining the group again", "fenced")


def scene(seed: int, rate: int = 400) -> Scene:
    """Give a world of workers as they are by default, none of which may end by itself."""
    return Scene(seed, rate=rate, partitions=PARTITIONS, plain=True, expected=frozenset({0}))


def timed(
    schedule: Iterator[Callable[[World], None]], times: list[tuple[str, float]]
) -> Iterator[Callable[[World], None]]:
    """Note the name and the moment of each fault."""
    for fault in schedule:
        times.append((fault.__name__.replace("_", " "), time.time()))
        yield fault


def recovery(world: World, times: Sequence[tuple[str, float]]) -> str:
    """Say for how long the partitions stood still after each fault; the last one did not happen."""
    lines, every = [], []
    for (name, at), (_, until) in itertools.pairwise(times):
        pauses = world.onlooker.pauses(at, until, PARTITIONS)
        every += pauses
        lines.append(f"{name:<30}{statistics.median(pauses):>6.1f} s{max(pauses):>8.1f} s")
    over = ", ".join(f"{sum(each > limit for each in every)} over {limit} s" for limit in LIMITS)
    lines.append(
        f"{'a partition stands still':<30}{statistics.median(every):>6.1f} s{max(every):>8.1f} s"
        f"  median, longest; of {len(every)} {over}"
    )
    output = world.pipeline.outputs()
    lines.append("workers said: " + ", ".join(f"{each} ({output.count(each)})" for each in _TOLD))
    return "\n".join(lines)


@click.command()
@click.option("--seconds", default=600.0, show_default=True)
@click.option("--seed", default=1, show_default=True)
@click.option("--directory", type=click.Path(path_type=Path), help="For logs and the history.")
def main(seconds: float, seed: int, directory: Path | None) -> None:
    """Run chaos on three brokers; end with 1 on any anomaly."""
    directory = directory or Path(tempfile.mkdtemp(prefix="chaos-cluster-"))
    directory.mkdir(parents=True, exist_ok=True)
    times: list[tuple[str, float]] = []
    cluster = KafkaCluster(directory)
    try:
        cluster.start()
        world = World(cluster.bootstrap_servers, directory, scene(seed), cluster=cluster)
        try:
            faults, found = run(world, timed(coordinators_schedule(seed), times), seconds, 0)
            told = recovery(world, times)
        finally:
            world.close()
    finally:
        cluster.close()
    click.echo(f"seed {seed}, three brokers, history in {directory}")
    click.echo(f"{table(world, faults, found)}\n\n{told}")
    sys.exit(any(found.values()))


if __name__ == "__main__":
    main()
