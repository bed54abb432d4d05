"""Who may know whom: the pure core knows no broker and no dataflow."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

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
    path = PACKAGE.joinpath(*module.split(".")).with_suffix(".py")
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name.partition(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").partition(".")[0])
    return found


def told(code: str) -> str:
    """Give the last line that a fresh interpreter prints."""
    command = [sys.executable, "-c", code]
    ended = subprocess.run(command, check=True, capture_output=True, text=True)
    return ended.stdout.splitlines()[-1]


MODULES = sorted(
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts) for path in PACKAGE.rglob("*.py")
)


@pytest.mark.parametrize("module", MODULES)
def test_only_the_modules_named_for_it_know_kafka_or_bytewax(module: str) -> None:
    allowed = {"confluent_kafka"} if module in KAFKA else set()
    allowed |= {"bytewax"} if module in BYTEWAX else set()
    # The version command names both.
    allowed |= {"confluent_kafka"} if module == "cli" else set()
    assert imported(module) & {"confluent_kafka", "bytewax"} <= allowed


PURE = ["shadow", "ratings", "shadows", "transaction", "dead_letter", "exactly_once.batch"]


@pytest.mark.parametrize("module", PURE)
def test_the_pure_core_loads_neither(module: str) -> None:
    code = (
        f"import sys, domination.{module}\n"
        "print([name for name in ('bytewax', 'confluent_kafka', 'socket') if name in sys.modules])"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    assert loaded.stdout.strip() == "[]"


def test_the_help_waits_for_no_heavy_import() -> None:
    code = (
        "import sys; from domination.cli import main; main(['--help'])\n"
        "heavy = ('bytewax', 'confluent_kafka', 'msgspec', 'nicegui', 'orjson')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    helped = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    assert helped.stdout.splitlines()[-1] == "[]"
