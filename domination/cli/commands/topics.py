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
    help="Make so many of each topic: as many workers can share it out.",
)
@click.option(
    "--replication-factor",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Keep so many copies, each on another broker.",
)
def command(partitions: int, replication_factor: int) -> None:
    """Make the three topics; one that exists is left as it is."""
    settings = from_environment()
    log.configure(settings)
    cluster = Cluster(connection.of(settings))
    for topic, found in cluster.make(settings.topics, partitions, replication_factor):
        what = f"exists, left as it is, {found}" if found else f"made, {partitions}"
        say(f"{topic}: {what} partitions")
