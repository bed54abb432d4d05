"""What others wrote moves no cursor and forges no line, wherever a terminal may show it."""

from __future__ import annotations

import ast
import json
import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from domination import log
from domination.cli import main as cli
from domination.cli.style import show
from domination.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE: Final = Path(cli.__file__).parent.parent
EVIL: Final = "\x1b[2J\x9b2J\u202e\x7f\x07\r\n2026-01-01 00:00:00Z INFO    domination: forged"
"""It clears the screen, in two ways, turns the text round, rings, and forges a line of the log."""
WRITES: Final = re.compile(r"print|click\.s?echo|.*std(out|err).*\.write|.*StreamHandler")
# These write what is ours alone, or what is no terminal's.
OURS: Final = {
    ("cli/commands/completion.py", "click.echo"): "a script that click writes",
    ("cli/main.py", "click.echo"): "the versions",
    ("cli/style.py", "click.echo"): "a count",
    ("log.py", "logging.StreamHandler"): "its formats escape",
}
ESCAPES: Final = {"printable", "printable_lines"}


def writing() -> Iterator[tuple[str, ast.Call]]:
    """Give each call of the package that writes, by its file."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and WRITES.fullmatch(ast.unparse(node.func)):
                yield str(path.relative_to(PACKAGE)), node


def escaped(call: ast.Call) -> bool:
    first = call.args[0] if call.args else None
    return isinstance(first, ast.Call) and ast.unparse(first.func) in ESCAPES


def harmless(text: str) -> bool:
    return all(line.isprintable() and not line.startswith("2026") for line in text.split("\n"))


def test_whatever_writes_escapes_what_is_not_ours() -> None:
    raw = {(file, ast.unparse(call.func)) for file, call in writing() if not escaped(call)}
    files = {file for file, call in writing() if escaped(call)}
    assert {"cli/style.py", "cli/main.py", "errors.py", "demo/terminal.py"} <= files
    assert raw == set(OURS)


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("name", ["domination.librdkafka", "any.library"])
def test_no_line_of_a_log_can_be_forged(
    form: str, name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging, "lastResort", logging.lastResort)
    monkeypatch.setattr(logging.getLogger("any"), "propagate", False)  # Not to pytest.
    log.configure(Settings(log_format=form))
    try:
        broken(Settings())
    except ValueError:
        logging.getLogger(name).exception("bug: %s", EVIL)
    first, *rest = capsys.readouterr().err.split("\n")
    assert "forged" in first
    assert first.isprintable()
    assert harmless("\n".join(rest))
    assert form == "text" or json.loads(first)["message"] == f"bug: {EVIL}"


@pytest.mark.parametrize("form", ["table", "json"])
def test_no_row_that_a_command_shows_can_be_forged(
    form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    show(form, {"reason": EVIL}, [EVIL])
    (line,) = capsys.readouterr().out.splitlines()
    assert harmless(line)


def test_a_bug_and_a_wrong_argument_are_told_without_what_a_terminal_obeys(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Click would strip some of it, had it not a terminal.
    monkeypatch.setattr("click.utils.should_strip_ansi", lambda *_: False)
    assert cli.main(["dead-letters", "list", "--reason", EVIL]) == 2
    assert cli.main(["judge", EVIL]) == 2
    monkeypatch.setattr("domination.settings.Settings.shown", broken)
    assert cli.main(["config"]) == 1
    said = capsys.readouterr().err
    assert said.count("forged") == 3
    assert "Traceback (most recent call last):\n" in said
    assert harmless(said)


def broken(_settings: Settings) -> None:
    """Be a bug that tells what others wrote."""
    raise ValueError(EVIL)
