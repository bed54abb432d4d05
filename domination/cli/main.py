"""The command `domination`: a group that imports a command only when it is called."""

from __future__ import annotations

import atexit
import os
import sys
from contextlib import contextmanager, suppress
from importlib import import_module
from io import TextIOWrapper
from traceback import format_exc
from typing import TYPE_CHECKING, Any, Final

import click

from domination import __version__
from domination.cli.style import Group
from domination.errors import Exit
from domination.text import printable, printable_lines

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

COMMANDS: Final = {
    "check": "Find what is missing, and say how to fix it.",
    "completion": "Print the script that completes these commands in a shell.",
    "config": "Show the settings in force; secrets are hidden.",
    "dead-letters": "List, show and send back the records that could not be used.",
    "demo": "Run the whole system in this terminal.",
    "forget": "Delete a human's rows from ClickHouse.",
    "judge": "Judge ratings; no broker needed.",
    "monitor": "Serve a live page of rates, lag and rows.",
    "produce": "Send random ratings to the topic dominate.",
    "report": "Count the rows by type, and the broken records.",
    "rewind": "Move the group of stopped workers back in the input topic.",
    "schema": "Print or create the tables in ClickHouse.",
    "topics": "Create the three topics; existing topics are not changed.",
    "worker": "Turn ratings into shadows until SIGTERM or Ctrl-C.",
}
"""Each command, named as its module is, with the first line of its help."""
_CLOSED_PIPE: Final = 141
"""What a shell says of a program that SIGPIPE has ended."""


class _ClosedPipeError(Exception):
    """Nobody reads what is printed. Of a `BrokenPipeError` click would make a 1."""


@contextmanager
def _printing() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError as error:
        raise _ClosedPipeError from error


class LazyGroup(Group):
    """A group of stand-ins, each a name and a line of help; a command that is called is imported.

    So its help, the completion of names and the advice on a mistyped name import no command.
    """

    def make_context(self, *arguments: Any, **named: Any) -> click.Context:
        """Parse the arguments; the help of the group and the version are printed here."""
        with _printing():
            return super().make_context(*arguments, **named)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that is called."""
        with _printing():
            return super().invoke(ctx)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the arguments call, and import it."""
        name, stand_in, rest = super().resolve_command(ctx, args)
        if stand_in is None:
            return name, None, rest
        module = f"domination.cli.commands.{str(name).replace('-', '_')}"
        return name, import_module(module).command, rest


def entry() -> None:
    """Run `main` as the process that it is, and end with its exit code.

    The C library is not let exit in its own way: OpenSSL would then take away what threads of
    librdkafka, which may still speak TLS, use. That crashed one command in fifty under load.
    """
    code: int = Exit.BUG

    def leave() -> None:
        with suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)

    # What is registered first runs last.
    atexit.register(leave)
    code = main()
    sys.exit(code)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; an expected error is one line on stderr and its exit code.

    Where nobody reads what it prints, it ends quietly.
    """
    _escape_what_cannot_be_shown()
    try:
        return _run(arguments)
    except (BrokenPipeError, _ClosedPipeError):
        _print_no_more()
        return _CLOSED_PIPE


def _run(arguments: Sequence[str] | None) -> int:
    try:
        return int(cli.main(arguments, prog_name="domination", standalone_mode=False) or Exit.OK)
    except click.ClickException as error:
        # Its own help a group says in lines; else others may have written a part of the message.
        if not isinstance(error, click.exceptions.NoArgsIsHelpError):
            vars(error)["message"] = printable(error.message)
        error.show()
        return error.exit_code
    except click.Abort:
        return 130
    except _ClosedPipeError:
        raise
    except Exception as error:  # noqa: BLE001 - a bug is told whole, as Python would
        from domination.advice import expected  # noqa: PLC0415 - the help has no need of it

        if found := expected(error):
            click.echo(printable(f"domination: {found}"), err=True)
            return found.exit_code
        click.echo(printable_lines(format_exc().rstrip()), err=True)
        return Exit.BUG


def _escape_what_cannot_be_shown() -> None:
    """Let stdout escape what its encoding lacks, as stderr does, where it would raise."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _print_no_more() -> None:
    """Let what the interpreter still has to print go nowhere: it would say that it cannot."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(nowhere, stream.fileno())


def _print_version(context: click.Context, _parameter: click.Parameter, asked: bool) -> None:  # noqa: FBT001
    if not asked:
        return
    from importlib.metadata import version  # noqa: PLC0415

    from domination.kafka.client import librdkafka_version  # noqa: PLC0415

    click.echo(
        f"domination {__version__} (bytewax {version('bytewax')}, "
        f"confluent-kafka {version('confluent-kafka')}, "
        f"librdkafka {librdkafka_version()}, Python {sys.version.split()[0]})"
    )
    context.exit()


@click.group(
    cls=LazyGroup,
    commands=[click.Command(name, help=line) for name, line in COMMANDS.items()],
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    examples=["domination demo", "domination check", "domination worker -l info"],
    exit_codes=True,
)
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_print_version,
    help="Show the versions of domination, bytewax and librdkafka, and exit.",
)
def cli() -> None:
    """Read ratings from Kafka, judge each human exactly once, and write the shadows to Kafka.

    Every setting is an environment variable. The help of a command names the settings that it uses.
    'domination config' lists all settings with their values.
    """
