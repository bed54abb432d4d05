"""The form of what the commands show: their help, what they found, and how far they are."""

from __future__ import annotations

import json
import math
import sys
import time
from typing import TYPE_CHECKING, Any, Final

import click

from domination.cli.exit_codes import EXIT_CODES
from domination.demo.terminal import live
from domination.settings import Settings, environment_name
from domination.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_SHOW_SECONDS: Final = 0.2

FORMAT: Final = click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="Print a table for people, or one JSON object a line for programs.",
)
SEED: Final = click.option(
    "--seed", type=int, show_default="random", help="Send the same humans for the same seed."
)


class NumberRange(click.FloatRange):
    """Numbers between bounds; click would take `nan` and `inf` too."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Read a number, or say why it is none."""
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number.", param, ctx)
        return number


class Command(click.Command):
    """A command whose help ends with examples, the settings that matter to it, and exit codes.

    `settings` are names of fields of `Settings`; the help shows their environment names.
    `exit_codes` tells whether it says what they mean.
    """

    def __init__(
        self,
        *arguments: Any,
        examples: Sequence[str] = (),
        settings: Sequence[str] = (),
        exit_codes: bool = False,
        **more: Any,
    ) -> None:
        super().__init__(*arguments, **more)
        self.examples = examples
        self.settings = settings
        self.exit_codes = exit_codes

    def format_epilog(self, _context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the sections, each line as it is."""
        codes = EXIT_CODES if self.exit_codes else {}
        sections = {
            "Examples": self.examples,
            "Settings": _with_defaults(self.settings),
            "Exit codes": [f"{code:<10}{meaning}" for code, meaning in codes.items()],
        }
        for title, lines in sections.items():
            if lines:
                with formatter.section(title):
                    formatter.write("".join(f"  {line}\n" for line in lines))


class Group(Command, click.Group):
    """A group of such commands, and of such groups."""

    command_class = Command
    group_class = type


def _with_defaults(settings: Sequence[str]) -> list[str]:
    defaults = {environment_name(name): getattr(Settings, name) for name in settings}
    width = max(map(len, defaults), default=0)
    return [
        f"{name:<{width}}  [default: {default}]" if default else name
        for name, default in defaults.items()
    ]


def say(text: str) -> None:
    """Print a line; whatever stands in it of others moves no cursor."""
    click.echo(printable(text))


def show(form: str, told: Mapping[str, Any] | None, lines: Iterable[str]) -> None:
    """Print what was found: for programs an object on a line, or nothing; for people its lines."""
    if form == "table":
        for line in lines:
            say(line)
    elif told is not None:
        say(json.dumps(told))


def progress(sends: Iterable[int], label: str, total: int | None) -> int:
    """Run a sending that yields how many it has sent; give their sum.

    On a terminal it shows how far it is: a bar, or a count where there is no end to it.
    """
    if not live(sys.stderr):
        return sum(sends)
    return _counted(sends, label) if total is None else _with_bar(sends, label, total)


def _with_bar(sends: Iterable[int], label: str, total: int) -> int:
    sent = 0
    with click.progressbar(length=total, label=label, file=sys.stderr, show_pos=True) as bar:
        for number in sends:
            sent += number
            bar.update(number)
    return sent


def _counted(sends: Iterable[int], label: str) -> int:
    sent, shown = 0, time.monotonic()
    for number in sends:
        sent += number
        if time.monotonic() - shown >= _SHOW_SECONDS:
            shown = time.monotonic()
            click.echo(f"\r{sent:,} {label}", nl=False, err=True)
    click.echo(f"\r{sent:,} {label}", err=True)
    return sent
