"""The commands of the command line, each by the arguments that call it."""

from __future__ import annotations

import click


def commands(command: click.Command, *path: str) -> dict[tuple[str, ...], click.Command]:
    """Give a command, and those in it."""
    found = {path: command}
    if isinstance(command, click.Group):
        for name in command.commands:
            found |= commands(called(command, name), *path, name)
    return found


def called(command: click.Command, *path: str) -> click.Command:
    """Give the command that the path calls, from the one that has it."""
    for name in path:
        assert isinstance(command, click.Group), path
        _, found, _ = command.resolve_command(click.Context(command), [name])
        assert found, path
        command = found
    return command
