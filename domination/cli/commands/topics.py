"""`domination topics`."""

from __future__ import annotations

import click

from domination import connection, log
from domination.cli.style import Command, say
from domination.kafka.cluster import Cluster
from domination.settings import TOPICS, from_environment


@click.command(
    "topics",
    cls=Command,
    examples=[
        "domination topics",
        "domination topics --partitions 12 --replication-factor 3",
    ],
    settings=("bootstrap_servers", *TOPICS),
)
@click.option(
    "--partitions",
    type=click.IntRange(min=1),
    default=12,
    show_default=True,
    help="Create each topic with this many; each worker needs at least one.",
)
@click.option(
    "--replication-factor",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Keep this many copies, each on another broker.",
)
def command(partitions: int, replication_factor: int) -> None:
    """Create the three topics; existing topics are not changed."""
    settings = from_environment()
    log.configure(settings)
    cluster = Cluster(connection.of(settings))
    for topic, found in cluster.make(settings.topics, partitions, replication_factor):
        what = f"exists, not changed, {found}" if found else f"created, {partitions}"
        say(f"{topic}: {what} partitions")
