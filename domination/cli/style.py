"""What the commands have in common: the form of their help, and of what programs read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from domination.settings import Settings, environment_name

if TYPE_CHECKING:
    from collections.abc import Sequence

FORMAT: Final = click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="A table for people, or an object a line for programs.",
)


class Command(click.Command):
    """A command whose help ends with examples and with the settings that matter to it.

    `settings` are names of fields of `Settings`; the help shows their environment names.
    """

    def __init__(
        self,
        *arguments: Any,
        examples: Sequence[str] = (),
        settings: Sequence[str] = (),
        **more: Any,
    ) -> None:
        super().__init__(*arguments, **more)
        self.examples = examples
        self.settings = settings

    def format_epilog(self, _context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the two sections, each line as it is."""
        sections = {"Examples": self.examples, "Settings": _with_defaults(self.settings)}
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


def print_json(told: dict[str, Any]) -> None:
    """Print an object on a line of its own."""
    import json  # noqa: PLC0415

    click.echo(json.dumps(told))
