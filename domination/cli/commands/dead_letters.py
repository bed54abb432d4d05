"""`domination dead-letters list`, `show`, `replay`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import click

from domination import log
from domination.cli.style import FORMAT, Group, progress, say, show
from domination.dead_letters import TOO_LARGE, TRUNCATED, UNREADABLE, DeadLetterTopic
from domination.ratings import Reason
from domination.reasons import Reasons
from domination.settings import from_environment
from domination.worker.lifecycle import Lifecycle

if TYPE_CHECKING:
    from collections.abc import Iterator

_READS: Final = ("bootstrap_servers", "dead_letter_topic")


def _known(_context: click.Context, _parameter: click.Parameter, reason: str | None) -> str | None:
    reasons = [each.value for each in Reason]
    if reason not in (None, *reasons):
        raise click.UsageError(f"'{reason}' is not a reason. Reasons are {', '.join(reasons)}.")
    return reason


_REASON: Final = click.option("--reason", callback=_known, help="Only those with this reason.")


@click.group("dead-letters", cls=Group, examples=["domination dead-letters list"], settings=_READS)
def command() -> None:
    """List, show and send back the records that could not be used.

    A dead letter is open until it is sent back. 'list' and 'replay' use the open ones only.
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
    help="List at most this many; the counts are of all.",
)
@FORMAT
def list_(reason: str | None, limit: int, form: str) -> None:
    """List the open dead letters, and count them by reason."""
    counts = Reasons(map(str, Reason))
    for letter in _letters().open(reason):
        counts.add(letter.reason)
        if counts.letters <= limit:
            show(form, letter.json(), [letter.line()])
    show(form, None, [*_by_reason(counts), f"{counts.letters:>11,} open"])


def _by_reason(counts: Reasons) -> Iterator[str]:
    """Give a line for each reason, the most frequent first, and one line for the rest."""
    found = counts.counted()
    for reason, count in found.reasons.items():
        yield f"{count:>11,} {reason}"
    if found.more:
        others = f"{found.more:,}" if found.exact else f"over {found.more:,}"
        yield f"{found.letters:>11,} with {others} other reasons"


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
    """Show one dead letter in full; 'list' shows its place."""
    partition, _, offset = place.partition(":")
    if not (partition.isdecimal() and offset.isdecimal()):
        raise click.UsageError(f"'{place}' is not PARTITION:OFFSET, as in 0:12")
    whole = _letters().get(int(partition), int(offset)).whole()
    show(form, whole, (f"{name:<12}{_plain(value)}" for name, value in whole.items()))


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
    help="Send at most this many.",
)
@click.option("--force", is_flag=True, help="Also send those that would fail again.")
@click.option("--yes", is_flag=True, help="Send them. Without it nothing is sent.")
def replay(reason: str | None, limit: int | None, force: bool, yes: bool) -> None:  # noqa: FBT001
    """Send open dead letters back to the input topic, each once.

    Key, value and headers are those of the original record. Without --yes it only says what it
    would send. It skips dead letters that would fail again, unless --force is given. It always
    skips a dead letter that is truncated or too large, and a record that is not a dead letter. On
    SIGTERM or Ctrl-C it aborts the open transaction and ends with 75.
    """
    letters = _letters()
    count, stay = letters.plan(reason, limit, force=force)
    whys = {
        TRUNCATED: "truncated",
        TOO_LARGE: f"too large for {letters.input_topic}",
        UNREADABLE: "not a dead letter",
    }
    for why, left in stay.most_common():
        say(f"{left:>11,} skipped: {whys.get(why, f'would fail again ({why})')}")
    if yes:
        lifecycle = Lifecycle()
        lifecycle.stop_on_signals()
        sends = letters.replay(reason, limit, force=force, going=lambda: not lifecycle.stopping)
        sent = progress(sends, "dead letters", count)
        say(f"{sent:>11,} sent back to {letters.input_topic}")
    else:
        say(f"{count:>11,} would be sent back to {letters.input_topic}; add --yes to send them")


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _letters() -> DeadLetterTopic:
    settings = from_environment()
    log.configure(settings)
    return DeadLetterTopic(settings)
