"""`domination demo`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from domination.cli.style import SEED, Command, NumberRange, say
from domination.demo.run import Plan, run
from domination.settings import from_environment

if TYPE_CHECKING:
    from domination.errors import Exit


@click.command(
    "demo",
    cls=Command,
    examples=["domination demo", "domination demo --humans 3000 --bad 0.05"],
    settings=("monitor",),
)
@click.option(
    "--humans",
    type=click.IntRange(min=1),
    show_default="no limit",
    help="Rate this many humans.",
)
@click.option(
    "--rate",
    type=NumberRange(min=0, min_open=True),
    default=1000,
    show_default=True,
    help="Send this many ratings a second.",
)
@click.option(
    "--bad",
    type=NumberRange(0, 1),
    default=0.0,
    show_default=True,
    metavar="SHARE",
    help="Break this share of the ratings, 0 to 1; they become dead letters.",
)
@SEED
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    show_default="rows are not kept",
    help="Keep the rows in this directory; a later demo adds to them.",
)
def command(
    humans: int | None, rate: float, bad: float, seed: int | None, data: Path | None
) -> Exit:
    """Run the whole system in this terminal.

    Kafka and ClickHouse are embedded. Ctrl-C ends it. The exit code is 0 if each human is exactly
    one row or one dead letter.
    """
    monitor = from_environment().monitor
    return run(Plan(humans, rate, bad, seed, data, monitor), say)
