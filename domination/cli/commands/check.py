"""`domination check`."""

from __future__ import annotations

import click

from domination import check, log
from domination.cli.style import FORMAT, Command, show
from domination.errors import Exit
from domination.settings import TOPICS, from_environment


@click.command(
    "check",
    cls=Command,
    examples=["domination check", "domination check kafka --format json"],
    settings=("bootstrap_servers", *TOPICS, "group", "clickhouse_url", "clickhouse_group"),
)
@click.argument("parts", type=click.Choice(check.PARTS), nargs=-1, metavar="[kafka] [clickhouse]")
@FORMAT
def command(parts: tuple[str, ...], form: str) -> Exit:
    """Find what is missing, and say how to fix it.

    It checks the broker, the topics, the rights, ClickHouse, its tables and its lag, or only the
    parts that are named. A worker needs Kafka only. The exit code is that of the first problem, or
    0 if there is none.
    """
    settings = from_environment(log_level="error")
    log.configure(settings)
    code = Exit.OK
    for found in check.findings(settings, parts or check.PARTS):
        show(form, found.json(), [found.line()])
        code = code or found.exit_code
    return code
