"""`domination report`."""

from __future__ import annotations

from contextlib import closing

import click

from domination.cli.style import FORMAT, Command, show
from domination.clickhouse.report import report
from domination.clickhouse.server import Server
from domination.settings import from_environment


@click.command(
    "report",
    cls=Command,
    examples=["domination report", "domination report --format json"],
    settings=("clickhouse_url",),
)
@FORMAT
def command(form: str) -> None:
    """Count the rows by type, and the broken records."""
    with closing(Server(from_environment())) as server:
        found = report(server)
    show(form, found.json(), found.lines())
