"""Who may know whom: the pure core knows no broker and no dataflow."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from domination.cli.main import COMMANDS

PACKAGE = Path(__file__).parent.parent / "domination"
KAFKA = {
    "broker",
    "check",
    "embedded",
    "group",
    "humans",
    "letters",
    "reader",
    "session",
    "topics",
    "transactional",
    "writer",
}
BYTEWAX = {"flow", "kafka", "worker"}


def imported(module: str) -> set[str]:
    """Give the top-level packages that a module imports, also inside functions and for types."""
    found: set[str] = set()
    for node in ast.walk(ast.parse((PACKAGE / f"{module}.py").read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name.partition(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").partition(".")[0])
    return found


def whole_names(module: str) -> set[str]:
    """Give the modules, and the packages they lie in, that a module imports from."""
    found: set[str] = set()
    for node in ast.walk(ast.parse((PACKAGE / f"{module}.py").read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            parts = node.module.split(".")
            found |= {".".join(parts[:count]) for count in range(1, len(parts) + 1)}
            found |= {f"{node.module}.{name.name}" for name in node.names}
    return found


def told(code: str) -> str:
    """Give the last line that a fresh interpreter prints."""
    command = [sys.executable, "-c", code]
    ended = subprocess.run(command, check=True, capture_output=True, text=True)
    return ended.stdout.splitlines()[-1]


MODULES = sorted(str(path.relative_to(PACKAGE).with_suffix("")) for path in PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("module", MODULES)
def test_only_the_modules_named_for_it_know_kafka_or_bytewax(module: str) -> None:
    allowed = {"confluent_kafka"} if module in KAFKA else set()
    allowed |= {"bytewax"} if module in BYTEWAX else set()
    # The version command names both.
    allowed |= {"confluent_kafka"} if module == "cli/main" else set()
    assert imported(module) & {"confluent_kafka", "bytewax"} <= allowed


@pytest.mark.parametrize("module", ["shadow", "wire", "transaction", "dead_letter"])
def test_the_pure_core_loads_neither(module: str) -> None:
    code = (
        f"import sys, domination.{module}\n"
        "print([name for name in ('bytewax', 'confluent_kafka', 'socket') if name in sys.modules])"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    assert loaded.stdout.strip() == "[]"


HELPED = """
import sys
from domination.cli.main import main
main({arguments})
heavy = ("bytewax", "confluent_kafka", "nicegui", "orjson", "domination.cli.commands")
print([name for name in heavy if name in sys.modules])
"""


@pytest.mark.parametrize("arguments", [["--help"], ["wroker"]])
def test_the_help_waits_for_no_command_and_no_heavy_import(arguments: list[str]) -> None:
    assert told(HELPED.format(arguments=arguments)) == "[]"


COMPLETED = """
import os, sys
os.environ |= {"_DOMINATION_COMPLETE": "bash_complete"}
os.environ |= {"COMP_WORDS": "domination ", "COMP_CWORD": "1"}
from domination.cli.main import main
try:
    main()
except SystemExit:
    print("domination.cli.commands" in sys.modules)
"""


def test_completing_the_name_of_a_command_imports_none() -> None:
    assert told(COMPLETED) == "False"


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_each_help_is_there_without_the_extras(command: str) -> None:
    code = (
        "import sys; sys.modules |= dict.fromkeys(('chdb', 'nicegui', 'rich'))\n"
        f"from domination.cli.main import main; print(main([{command!r}, '--help']))"
    )
    assert told(code) == "0"


def test_only_the_entry_knows_the_command_line_and_no_command_another() -> None:
    knows = {module for module in MODULES if "domination.cli" in whole_names(module)}
    assert {module for module in knows if not module.startswith("cli/")} == {"__main__"}
    for module in MODULES:
        if module.startswith("cli/commands/"):
            assert "domination.cli.commands" not in whole_names(module)
            assert "domination.cli.main" not in whole_names(module)
