"""`domination monitor`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from domination.cli.style import Command, say
from domination.errors import needs_extra
from domination.settings import TOPICS, from_environment

if TYPE_CHECKING:
    from domination.errors import Exit


@click.command(
    "monitor",
    cls=Command,
    examples=["domination monitor"],
    settings=(
        *("monitor", "monitor_url", "bootstrap_servers", *TOPICS, "group"),
        *("clickhouse_url", "clickhouse_group", "log_level"),
    ),
)
def command() -> Exit:
    """Serve a live page of rates, lag and rows.

    The page is at DOMINATION_MONITOR until SIGTERM or Ctrl-C. It only reads. It starts without
    Kafka and ClickHouse, and says which of them is down, and since when.
    """
    settings = from_environment()
    with needs_extra("the monitor", "monitor"):
        # Not before: without the extra there is a help, and it says what to install.
        from domination.monitor.run import run  # noqa: PLC0415

    return run(settings, say)
