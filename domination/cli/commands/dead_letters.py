"""`domination dead-letters list`, `show`, `replay`."""

from __future__ import annotations

from collections import Counter
from typing import Final

import click

from domination import log
from domination.cli.style import FORMAT, Group, progress, show
from domination.dead_letters import TRUNCATED, DeadLetterTopic
from domination.ratings import Reason
from domination.settings import from_environment

_READS: Final = ("bootstrap_servers", "dead_letter_topic")


def _known(_context: click.Context, _parameter: click.Parameter, reason: str | None) -> str | None:
    reasons = [each.value for each in Reason]
    if reason not in (None, *reasons):
        raise click.UsageError(f"'{reason}' is none of the reasons {', '.join(reasons)}.")
    return reason


_REASON: Final = click.option("--reason", callback=_known, help="Those with this reason alone.")


@click.group("dead-letters", cls=Group, examples=["domination dead-letters list"], settings=_READS)
def command() -> None:
    """List, show and send back the records that could not be used.

    A dead letter is open until it is sent back; 'list' and 'replay' know the open ones.
    """


@command.command(
    "list",
    examples=[
        "domination dead-letters list",
        "domination dead-letters list --reason not_json --limit 1000 --format json",
    ],
    settings=_READS,
)
@_REASON
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    default=20,
    show_default=True,
    help="List so many at most; the count is of all.",
)
@FORMAT
def list_(reason: str | None, limit: int, form: str) -> None:
    """List the open dead letters, and count them by reason."""
    counts: Counter[str] = Counter()
    for letter in _letters().open(reason):
        counts[letter.reason] += 1
        if counts.total() <= limit:
            show(form, letter.json(), [letter.line()])
    lines = [f"{count:>11,} {name}" for name, count in counts.most_common()]
    show(form, None, [*lines, f"{counts.total():>11,} open"])


@command.command(
    "show",
    examples=[
        "domination dead-letters show 0:12",
        "domination dead-letters show 0:12 --format json",
    ],
    settings=_READS,
)
@click.argument("place", metavar="PARTITION:OFFSET")
@FORMAT
def show_(place: str, form: str) -> None:
    """Show one dead letter whole, by the place that 'list' names."""
    partition, _, offset = place.partition(":")
    if not (partition.isdecimal() and offset.isdecimal()):
        raise click.UsageError(f"'{place}' is not PARTITION:OFFSET, as in 0:12")
    whole = _letters().get(int(partition), int(offset)).whole()
    show(form, whole, (f"{name:<12}{value}" for name, value in whole.items()))


@command.command(
    examples=[
        "domination dead-letters replay --reason rating_out_of_range",
        "domination dead-letters replay --reason rating_out_of_range --yes",
    ],
    settings=(*_READS, "input_topic", "output_topic"),
)
@_REASON
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    show_default="all",
    help="Send so many at most.",
)
@click.option("--force", is_flag=True, help="Send those as well that would fail again.")
@click.option("--yes", is_flag=True, help="Do it; without it nothing is sent.")
def replay(reason: str | None, limit: int | None, force: bool, yes: bool) -> None:  # noqa: FBT001
    """Send open dead letters back to their topic, each once.

    Key, value and headers are the original's. Says what it would do, and does it with --yes. What
    this version would make a dead letter again stays, unless --force; what was too large to be kept
    whole stays in any case.
    """
    letters = _letters()
    count, stay = letters.plan(reason, limit, force=force)
    for why, left in stay.most_common():
        what = "are not whole" if why == TRUNCATED else f"would be {why} again"
        click.echo(f"{left:>11,} {what}: left")
    if yes:
        sends = letters.replay(reason, limit, force=force)
        click.echo(f"{progress(sends, 'dead letters', count):>11,} sent back")
    else:
        click.echo(f"{count:>11,} to send back; do it with --yes")


def _letters() -> DeadLetterTopic:
    settings = from_environment()
    log.configure(settings)
    return DeadLetterTopic(settings)
