"""`domination produce`."""

from __future__ import annotations

import click

from domination import connection, log
from domination.cli.style import SEED, Command, NumberRange, progress, say
from domination.kafka.cluster import Cluster
from domination.produce import produce
from domination.settings import from_environment
from domination.worker.lifecycle import Lifecycle


@click.command(
    "produce",
    cls=Command,
    examples=[
        "domination produce --rate 1000",
        "domination produce --count 100000 --seed 1",
    ],
    settings=("bootstrap_servers", "input_topic"),
)
@click.option(
    "--rate",
    type=NumberRange(min=0, min_open=True),
    show_default="as fast as possible",
    help="Send this many ratings a second.",
)
@click.option(
    "--count",
    type=click.IntRange(min=0),
    show_default="no limit",
    help="Send this many ratings.",
)
@SEED
def command(rate: float | None, count: int | None, seed: int | None) -> None:
    """Send random ratings to the topic dominate.

    Ratings are integers from 0 to 100; unique ids are UUIDs. It ends after --count ratings, or on
    SIGTERM or Ctrl-C, when Kafka has confirmed every delivery.
    """
    settings = from_environment()
    log.configure(settings)
    cluster, topic = Cluster(connection.of(settings)), settings.input_topic
    cluster.reach_leaders(topic, cluster.require({topic: "WRITE"})[topic])
    lifecycle = Lifecycle()
    lifecycle.stop_on_signals()
    sends = produce(settings, count, rate, seed, going=lambda: not lifecycle.stopping)
    sent = progress(sends, "ratings", count)
    say(f"{sent} ratings in {topic}, every delivery confirmed")
