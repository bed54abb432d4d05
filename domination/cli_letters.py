"""The commands for dead letters: list, show, replay."""

from __future__ import annotations

import sys
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import click

from domination.board import live
from domination.cli_style import FORMAT, Group, print_json
from domination.errors import Exit
from domination.settings import from_environment

if TYPE_CHECKING:
    from domination.letters import Letter, Letters

_REASON: Final = click.option("--reason", help="Those with this reason alone.")
_READS: Final = ("bootstrap_servers", "dead_letter_topic")


@click.group("dead-letters", cls=Group, examples=["domination dead-letters list"], settings=_READS)
def dead_letters() -> None:
    """List, show and send back the records that could not be used.

    A dead letter is open until it is sent back; 'list' and 'replay' know the open ones.
    """


@dead_letters.command(
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
def list_letters(reason: str | None, limit: int, form: str) -> None:
    """List the open dead letters, and count them by reason."""
    letters = _letters(reason)
    counts: Counter[str] = Counter()
    for letter in letters.open(reason):
        counts[letter.reason] += 1
        if sum(counts.values()) > limit:
            continue
        if form == "json":
            print_json(_told(letter))
        else:
            place = f"{letter.partition}:{letter.offset}"
            click.echo(f"{place:<12}{letter.reason:<24}{_place(letter):<24}{letter.message}")
    if form == "table":
        for name, count in counts.most_common():
            click.echo(f"{count:>11,} {name}")
        click.echo(f"{sum(counts.values()):>11,} open")


@dead_letters.command(
    examples=[
        "domination dead-letters show 0:12",
        "domination dead-letters show 0:12 --format json",
    ],
    settings=_READS,
)
@click.argument("place", metavar="PARTITION:OFFSET")
@FORMAT
def show(place: str, form: str) -> None:
    """Show one dead letter whole, by the place that 'list' names."""
    partition, _, offset = place.partition(":")
    if not (partition.isdecimal() and offset.isdecimal()):
        raise click.UsageError(f"'{place}' is not PARTITION:OFFSET, as in 0:12")
    letter = _letters().get(int(partition), int(offset))
    told = _told(letter) | {
        "key": _text(letter.key),
        "headers": [[name, _text(_bytes(value))] for name, value in letter.headers],
        "value": _text(letter.value),
    }
    if form == "json":
        print_json(told)
    else:
        for name, value in told.items():
            click.echo(f"{name:<12}{value}")


@dead_letters.command(
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
def replay(reason: str | None, limit: int | None, force: bool, yes: bool) -> int:  # noqa: FBT001
    """Send open dead letters back to their topic, each once.

    Key, value and headers are the original's. Says what it would do, and does it with --yes. What
    this version would make a dead letter again stays, unless --force; what was too large to be kept
    whole stays in any case.
    """
    letters = _letters(reason)
    why = letters.stays(force=force)
    fit, stay = 0, Counter[str]()
    for letter in letters.open(reason):
        if failure := why(letter):
            stay[failure] += 1
        else:
            fit += 1
    for name, count in stay.most_common():
        what = "are not whole" if name == "truncated" else f"would be {name} again"
        click.echo(f"{count:>11,} {what}: left")
    count = fit if limit is None else min(fit, limit)
    if not yes:
        click.echo(f"{count:>11,} to send back; do it with --yes")
        return Exit.OK
    sent = _with_bar(letters, count, reason, limit, force=force)
    click.echo(f"{sent:>11,} sent back")
    return Exit.OK


def _with_bar(
    letters: Letters, count: int, reason: str | None, limit: int | None, *, force: bool
) -> int:
    sent = 0
    sends = letters.replay(reason, limit, force=force)
    with click.progressbar(
        length=count,
        label="dead letters",
        file=sys.stderr,
        show_pos=True,
        hidden=not live(sys.stderr),
    ) as bar:
        for number in sends:
            sent += number
            bar.update(number)
    return sent


def _letters(reason: str | None = None) -> Letters:
    settings = from_environment()
    from domination import log  # noqa: PLC0415
    from domination.letters import Letters  # noqa: PLC0415
    from domination.ratings import Reason  # noqa: PLC0415

    reasons = [each.value for each in Reason]
    if reason not in (None, *reasons):
        raise click.UsageError(f"'{reason}' is none of the reasons {', '.join(reasons)}.")
    log.configure(settings)
    return Letters(settings)


def _place(letter: Letter) -> str:
    origin = letter.origin
    return f"{origin.topic}[{origin.partition}]@{origin.offset}"


def _told(letter: Letter) -> dict[str, Any]:
    return {
        "partition": letter.partition,
        "offset": letter.offset,
        "reason": letter.reason,
        "message": letter.message,
        "origin": letter.origin._asdict(),
        "truncated": letter.truncated,
    }


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode(errors="backslashreplace")


def _bytes(value: str | bytes | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value
