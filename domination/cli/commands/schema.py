"""`domination schema print`, `apply`."""

from __future__ import annotations

from contextlib import closing
from typing import Final

import click

from domination.cli.style import Group, say
from domination.clickhouse import schema, sharded
from domination.clickhouse.server import Server
from domination.settings import from_environment

_FILLED_IN: Final = (
    "clickhouse_kafka_brokers",
    "clickhouse_kafka_security_protocol",
    "clickhouse_kafka_sasl_mechanism",
    "clickhouse_kafka_sasl_username",
    "clickhouse_kafka_sasl_password",
    "bootstrap_servers",
    "output_topic",
    "clickhouse_group",
    "clickhouse_consumers",
    "clickhouse_ttl_days",
    "clickhouse_broken_ttl_days",
)


def _cluster(_context: click.Context, _parameter: click.Parameter, name: str | None) -> str | None:
    if name == "":
        raise click.UsageError("The NAME of --cluster must not be empty.")
    return name


@click.group("schema", cls=Group, examples=["domination schema print", "domination schema apply"])
def command() -> None:
    """Print or create the tables in ClickHouse."""


@command.command(
    "print",
    examples=[
        "domination schema print",
        "domination schema print > schema.sql",
        "domination schema print --cluster events",
    ],
    settings=_FILLED_IN,
)
@click.option("--show-secrets", is_flag=True, help="Print the password of ClickHouse's user too.")
@click.option("--cluster", metavar="NAME", callback=_cluster, help="For a cluster of ClickHouse.")
def print_(*, show_secrets: bool, cluster: str | None) -> None:
    """Print the statements that create the tables; no ClickHouse needed.

    Passwords are printed as [HIDDEN], as ClickHouse shows them.

    --cluster prints the replicated and sharded form, for all servers of a cluster: run it on one of
    them. ClickHouse's own parser has read these statements, but nobody has run them on a real
    cluster: try them on yours first. docs/operate.md says what the cluster needs (Scaling).
    """
    settings = from_environment()
    made = (
        schema.statements(settings, secrets=show_secrets)
        if cluster is None
        else sharded.statements(settings, cluster, secrets=show_secrets)
    )
    for _, sql in made:
        for line in f"{sql};\n".split("\n"):
            say(line)


@command.command(examples=["domination schema apply"], settings=("clickhouse_url", *_FILLED_IN))
def apply() -> None:
    """Create the tables that are missing; rows that are there stay.

    If the stream reads with other settings, it is created again; no record is lost or read twice.
    A stream with a password is always created again, since ClickHouse hides the password.
    If rows, or broken records, are kept for another number of days, that number is changed.

    It works on one server; for a cluster, see 'domination schema print --cluster'.
    """
    settings = from_environment()
    with closing(Server(settings)) as server:
        for name, what in schema.apply(server, settings):
            say(f"{name}: {what}")
