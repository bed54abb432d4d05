"""`domination completion`."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from domination.cli.style import Command


@click.command(
    "completion",
    cls=Command,
    examples=[
        'eval "$(domination completion bash)"    # in ~/.bashrc',
        'eval "$(domination completion zsh)"     # in ~/.zshrc',
        "domination completion fish > ~/.config/fish/completions/domination.fish",
    ],
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(context: click.Context, shell: str) -> None:
    """Print the script that completes these commands in a shell."""
    found = get_completion_class(shell)
    assert found, shell  # noqa: S101 - click has all three
    whole = context.find_root().command
    click.echo(found(whole, {}, "domination", "_DOMINATION_COMPLETE").source())
