"""Writes docs/cli.md from the commands themselves: `make docs`, or `python docs/cli.py`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from domination.cli.main import cli

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = Path(__file__).with_suffix(".md")
HEAD = """\
# Commands

`make docs` writes this page from the code. Settings are environment variables: see
[Reference](reference.md).
"""


def sections(command: click.Command, name: str) -> Iterator[str]:
    """Give a section for a command, and for those in it."""
    context = click.Context(command, info_name=name, terminal_width=100, max_content_width=100)
    yield f"## {name}\n\n```\n{command.get_help(context)}\n```\n"
    if isinstance(command, click.Group):
        for each in command.list_commands(context):
            _, found, _ = command.resolve_command(context, [each])
            if found:
                yield from sections(found, f"{name} {each}")


def page() -> str:
    """Write the page."""
    return "\n".join([HEAD, *sections(cli, "domination")])


if __name__ == "__main__":
    sys.stdout.write(f"{PAGE.name}: {PAGE.write_text(page()):,} characters\n")
