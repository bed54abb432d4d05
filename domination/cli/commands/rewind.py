"""`domination rewind`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from domination import log
from domination.cli.style import Command, say
from domination.rewind import Rewind, goal
from domination.settings import from_environment

if TYPE_CHECKING:
    from domination.rewind import Goal, Plan
    from domination.settings import Settings


def _goal(_context: click.Context, _parameter: click.Parameter, text: str) -> Goal:
    try:
        return goal(text, time.time())
    except ValueError as error:
        raise click.UsageError(f"{error}.") from None


@click.command(
    "rewind",
    cls=Command,
    examples=[
        "domination rewind --to 2h",
        "domination rewind --to 2025-06-01T02:00:00Z --yes",
        "domination rewind --to 0 --partition 3",
        "domination rewind --to latest --skip",
    ],
    settings=("bootstrap_servers", "input_topic", "output_topic", "group"),
)
@click.option(
    "--to",
    "where",
    required=True,
    callback=_goal,
    metavar="TIME|earliest|latest|OFFSET",
    help="Where to continue. A time is ISO 8601 with a zone, or 90s, 30m, 2h, 7d: that long ago.",
)
@click.option("--partition", type=click.IntRange(min=0), help="Move in this partition only.")
@click.option("--skip", is_flag=True, help="Also move forward; nobody judges the records between.")
@click.option("--yes", is_flag=True, help="Move the group. Without it nothing is moved.")
def command(where: Goal, partition: int | None, skip: bool, yes: bool) -> None:  # noqa: FBT001
    """Move the group of stopped workers back in the input topic.

    The next workers judge the records from there again and write the results again. Readers of the
    output topic see these a second time. Without --yes it only says what it would move. A partition
    moves forward only with --skip. An offset belongs to one partition. First stop all workers:
    while the group has members, it ends with 75.
    """
    settings = from_environment()
    log.configure(settings)
    rewind = Rewind(settings)
    if yes:
        rewind.require_no_members()
    plan = rewind.plan(where, partition, skip=skip)
    if yes:
        rewind.do(plan)
    _tell(plan, settings)
    if yes:
        say(f"moved group {settings.group}; start the workers")
    else:
        rewind.require_no_members()
        say("nothing was moved; add --yes to move the group")


def _tell(plan: Plan, settings: Settings) -> None:
    for line in plan.lines(settings.input_topic):
        say(line)
    say(f"{plan.again:>11,} judged again, and written again to {settings.output_topic}")
    if plan.skipped:
        say(f"{plan.skipped:>11,} skipped, and never judged")
