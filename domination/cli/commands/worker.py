"""`domination worker`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from domination.cli.style import Command
from domination.settings import LOG_FORMATS, LOG_LEVELS, TOPICS, from_environment
from domination.worker.run import run

if TYPE_CHECKING:
    from domination.errors import Exit


@click.command(
    "worker",
    cls=Command,
    examples=[
        "domination worker -l info",
        "DOMINATION_HTTP=9100 domination worker -w 2 --log-format json",
    ],
    settings=(
        *("bootstrap_servers", *TOPICS, "group", "instance", "commit_interval_seconds"),
        *("availability_timeout_seconds", "http", "log_level", "log_format"),
    ),
    exit_codes=True,
)
@click.option(
    "-l",
    "--log-level",
    type=click.Choice(LOG_LEVELS, case_sensitive=False),
    help="Overrides DOMINATION_LOG_LEVEL.",
)
@click.option(
    "--log-format",
    type=click.Choice(LOG_FORMATS, case_sensitive=False),
    help="Overrides DOMINATION_LOG_FORMAT.",
)
@click.option(
    "-w",
    "--workers",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Run this many workers in this process; each is a member of the group.",
)
@click.option(
    "-i",
    "--process-id",
    type=click.IntRange(min=0),
    help="Number of this process in a Bytewax cluster.",
)
@click.option(
    "-a",
    "--addresses",
    help="Addresses of all processes of the cluster: host:port, separated by ';'.",
)
def command(
    log_level: str | None,
    log_format: str | None,
    workers: int,
    process_id: int | None,
    addresses: str | None,
) -> Exit:
    """Turn ratings into shadows until SIGTERM or Ctrl-C.

    It is the same program as 'python -m bytewax.run dataflows.dominate:flow'. Start up to as many
    workers as the topic has partitions, on any host. They share the partitions.
    """
    if (process_id is None) != (addresses is None):
        raise click.UsageError("--process-id and --addresses must be given together.")
    settings = from_environment(log_level=log_level, log_format=log_format)
    return run(settings, workers, process_id, addresses.split(";") if addresses else None)
