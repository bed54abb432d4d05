"""`domination forget`."""

from __future__ import annotations

from contextlib import closing
from typing import Final

import click

from domination import log
from domination.cli.style import Command, say
from domination.clickhouse.server import Server
from domination.forget import forget
from domination.secret import is_utf8
from domination.settings import TOPICS, from_environment

_DELETE_SECONDS: Final = 3600
"""ClickHouse answers when it has written each part anew that had a row."""


def _id(_context: click.Context, _parameter: click.Parameter, unique_id: str) -> str:
    if not unique_id:
        raise click.UsageError("UNIQUE_ID must not be empty.")
    if not is_utf8(unique_id):
        raise click.UsageError("UNIQUE_ID is not UTF-8.")
    return unique_id


@click.command(
    "forget",
    cls=Command,
    examples=[
        "domination forget 00000000-0000-0000-0000-000000000001",
        "domination forget x --yes",
    ],
    settings=("clickhouse_url", "bootstrap_servers", *TOPICS),
)
@click.argument("unique_id", callback=_id, metavar="UNIQUE_ID")
@click.option("--yes", is_flag=True, help="Delete the rows. Without it nothing is deleted.")
def command(unique_id: str, yes: bool) -> None:  # noqa: FBT001
    """Delete a human's rows from ClickHouse.

    It deletes the rows of shadow with this unique_id, and the rows of shadow_broken whose record is
    an object with this unique_id. It deletes nothing from the topics: it says until when at the
    latest they hold the records that they have. If a worker or ClickHouse reads such a record
    later, or again, its row comes back. Without --yes it only says what it would delete.
    """
    settings = from_environment()
    log.configure(settings)
    with closing(Server(settings, _DELETE_SECONDS)) as server:
        for line in forget(server, settings, unique_id, yes=yes):
            say(line)
