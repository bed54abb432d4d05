"""Who may import whom: a table with a row for each place, and what it must never come to."""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from domination.cli.main import COMMANDS

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).parent.parent.parent
OURS: Final = "domination"

# The places from the bottom up. A place is a file or a folder of the package; a row is the places
# that it imports, all of them above, and the packages of others. A file of a folder that has a row
# of its own is not in the row of its folder; it names its folder where it imports from there.
# Imports for types and inside functions count as well: they show who knows whom.
PLACES: Final = {
    "shadow": ("", ""),
    "__init__": ("shadow", ""),
    "text": ("", ""),
    "errors": ("__init__ text", ""),
    "reasons": ("text", ""),
    "kafka": ("", "confluent_kafka"),
    "exactly_once": ("kafka", "confluent_kafka"),
    "exactly_once.batch": ("", ""),
    "exactly_once.columns": ("exactly_once", ""),
    "exactly_once.dead_letter": ("exactly_once", ""),
    "exactly_once.options": ("exactly_once", ""),
    "exactly_once.portion": ("", ""),
    "exactly_once.reserved": ("", ""),
    "exactly_once.rule": ("", ""),
    "exactly_once.session": ("exactly_once", ""),
    "exactly_once.transactions": ("exactly_once kafka", ""),
    "exactly_once.operators": ("exactly_once", "bytewax"),
    "exactly_once.ends": ("exactly_once kafka", "bytewax"),
    "address": ("", ""),
    "service_links": ("", ""),
    "secret": ("", ""),
    "environment": ("errors secret service_links", ""),
    "settings": ("address environment errors exactly_once secret", ""),
    "log": ("settings text", ""),
    "connection": ("kafka settings", ""),
    "clickhouse": ("settings shadow", ""),
    "clickhouse.server": ("clickhouse settings", "clickhouse_driver"),
    "advice": ("clickhouse errors exactly_once kafka settings", ""),
    "ratings": ("exactly_once", "msgspec"),
    "humans": ("ratings", "orjson"),
    "shadows": ("exactly_once ratings shadow", "orjson"),
    "flow": ("exactly_once ratings shadows", "bytewax"),
    "produce": ("connection humans kafka settings", ""),
    "letter": ("exactly_once kafka reasons settings text", ""),
    "dead_letters": (
        "connection errors exactly_once kafka letter ratings settings shadows",
        "",
    ),
    "forget": ("clickhouse connection kafka settings", ""),
    "rewind": ("connection errors kafka settings", ""),
    "worker": ("connection errors exactly_once log ratings settings", ""),
    "worker.lifecycle": ("advice errors exactly_once log", ""),
    "worker.metrics": (
        "__init__ exactly_once kafka log settings shadow worker",
        "prometheus_client",
    ),
    "worker.server": ("log", "prometheus_client"),
    "worker.health": ("errors exactly_once log settings worker", "prometheus_client"),
    "worker.run": ("errors exactly_once flow log settings worker", "bytewax"),
    "check": ("advice clickhouse connection errors exactly_once kafka settings", ""),
    "monitor": ("advice clickhouse errors log settings shadow text worker", ""),
    "monitor.topics": ("connection kafka letter monitor ratings reasons settings", ""),
    "monitor.connections": ("", "uvicorn"),
    "monitor.page": ("monitor text", "jinja2"),
    "monitor.server": ("errors monitor", "fastapi nicegui uvicorn"),
    "demo": (
        ("clickhouse connection environment errors kafka log monitor produce settings text worker"),
        "",
    ),
    "demo.embedded": ("errors", "chdb orjson"),
    "demo.panel": ("demo text", "rich"),
    "cli": (
        (
            "__init__ advice check clickhouse connection dead_letters demo errors forget kafka"
            " log monitor produce ratings reasons rewind secret settings shadow text worker"
        ),
        "click",
    ),
    "__main__": ("cli", ""),
}


def modules(root: Path = ROOT, package: str = OURS) -> dict[str, str]:
    """Give the source of each module of a package, by its dotted name."""
    paths = {
        ".".join(path.relative_to(root).with_suffix("").parts): path
        for path in sorted((root / package).rglob("*.py"))
    }
    return {name.removesuffix(".__init__"): path.read_text() for name, path in paths.items()}


SOURCES: Final = modules()
FOLDERS: Final = {path.parent.name for path in (ROOT / OURS).glob("*/__init__.py")}


def imports(source: str) -> Iterator[str]:
    """Give the dotted names that a module imports, wherever it does so."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "a relative import"
            yield from (f"{node.module}.{each.name}" for each in node.names)


def module_of(name: str) -> str:
    """Give the module of ours that has an imported name, or is it."""
    while name not in SOURCES:
        name = name.rpartition(".")[0]
    return name


def imported(module: str) -> set[str]:
    """Give the other modules of ours that a module imports."""
    ours = (each for each in imports(SOURCES[module]) if each.partition(".")[0] == OURS)
    return set(map(module_of, ours)) - {module}


def others(module: str) -> set[str]:
    """Give the packages that a module imports, ours and the standard library left out."""
    return {each.partition(".")[0] for each in imports(SOURCES[module])} - {
        OURS,
        *sys.stdlib_module_names,
    }


def place(module: str) -> str:
    """Give the file or the folder of the package where a module lies."""
    return module.split(".")[1] if "." in module else "__init__"


def row(module: str) -> str:
    """Give the name of a module's row: its own, or else its place's."""
    own = module.partition(".")[2]
    return own if own in PLACES else place(module)


def private(source: str) -> set[str]:
    """Give the private names of modules of ours that a module imports or uses."""
    used = {f"{owner}.{name}" for owner, name in attributes(source) if owner in SOURCES}
    found = {*imports(source), *used}
    return {name for name in found if name.partition(".")[0] == OURS and has_private(name)}


def attributes(source: str) -> Iterator[tuple[str, str]]:
    """Give the attributes that a module uses: the dotted name of what has it, and its name."""
    tree = ast.parse(source)
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {each.asname: each.name for each in node.names if each.asname}
        elif isinstance(node, ast.ImportFrom):
            names |= {each.asname or each.name: f"{node.module}.{each.name}" for each in node.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            first, dot, rest = ast.unparse(node.value).partition(".")
            yield names.get(first, first) + dot + rest, node.attr


def has_private(name: str) -> bool:
    return any(each.startswith("_") and not each.endswith("__") for each in name.split("."))


def last_line(code: str) -> str:
    """Give the last line that a fresh interpreter prints."""
    command = [sys.executable, "-c", code]
    ended = subprocess.run(command, check=True, capture_output=True, text=True)
    return ended.stdout.splitlines()[-1]


def loaded(code: str, names: tuple[str, ...]) -> str:
    """Tell which of some packages a fresh interpreter has loaded after some code."""
    return last_line(
        f"import sys\n{code}\nprint([name for name in {names} if name in sys.modules])"
    )


def test_each_place_has_a_row_and_each_row_a_place() -> None:
    assert {row(module) for module in SOURCES} == set(PLACES)
    assert {place(module) for module in SOURCES} <= set(PLACES)


@pytest.mark.parametrize("name", PLACES)
def test_a_place_imports_what_its_row_says_and_no_more(name: str) -> None:
    mine = [module for module in SOURCES if row(module) == name]
    ours = {place(each) for module in mine for each in imported(module)}
    if name == place(mine[0]):
        ours -= {name}
    theirs = {each for module in mine for each in others(module)}
    said = tuple(set(each.split()) for each in PLACES[name])
    assert (ours, theirs) == said


def test_no_place_imports_upward() -> None:
    order = [*dict.fromkeys(name.partition(".")[0] for name in PLACES)]
    for name, (ours, _) in PLACES.items():
        mine = name.partition(".")[0]
        below = {mine, *order[: order.index(mine)]}
        assert set(ours.split()) <= below, name


def test_no_modules_import_each_other_in_a_circle() -> None:
    TopologicalSorter({module: imported(module) for module in SOURCES}).prepare()


@pytest.mark.parametrize("module", SOURCES)
def test_no_module_uses_a_private_name_of_another(module: str) -> None:
    assert private(SOURCES[module]) == set()


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("from domination.errors import _x", {"domination.errors._x"}),
        ("from domination._x import y", {"domination._x.y"}),
        ("import domination.errors\ndomination.errors._x()", {"domination.errors._x"}),
        ("import domination.errors as e\ndef f():\n    e._x.y", {"domination.errors._x"}),
        ("def f():\n    from domination import errors as e\n    e._x", {"domination.errors._x"}),
        ("from domination import __version__, errors\nerrors.x.y", set()),
        ("from domination.errors import Named\nNamed(1)._asdict(), Named._fields", set()),
        ("import os\nos._exit(1)", set()),
    ],
)
def test_a_private_name_is_found_however_it_is_reached(source: str, found: set[str]) -> None:
    assert private(source) == found


CORE: Final = (
    "shadow",
    *(f"exactly_once.{name}" for name in ("batch", "columns", "dead_letter", "options")),
    *(f"exactly_once.{name}" for name in ("offsets", "portion", "reserved", "rule")),
    "clickhouse.queries",
    *(f"monitor.{name}" for name in ("allowance", "rate")),
)
"""What knows the standard library, and its own like, and nothing else."""


@pytest.mark.parametrize("name", CORE)
def test_the_pure_core_knows_the_standard_library_and_itself(name: str) -> None:
    assert others(f"{OURS}.{name}") == set()
    assert imported(f"{OURS}.{name}") <= {f"{OURS}.{each}" for each in CORE}


NETWORK: Final = ("bytewax", "confluent_kafka", "clickhouse_driver", "nicegui", "socket")


@pytest.mark.parametrize("module", [*CORE, "ratings", "humans", "shadows", "monitor.page"])
def test_what_is_pure_loads_no_network(module: str) -> None:
    assert loaded(f"import domination.{module}", NETWORK) == "[]"


@pytest.mark.parametrize(
    "module", [each for each in SOURCES if each.split(".")[1:2] in (["kafka"], ["exactly_once"])]
)
def test_the_library_knows_no_environment_and_ends_no_process(module: str) -> None:
    used = {name for _, name in attributes(SOURCES[module])} | set(imports(SOURCES[module]))
    unwanted = ("environ", "getenv", "exit", "_exit", "argv")
    assert not [name for name in used if name.rpartition(".")[2] in unwanted]


HEAVY: Final = (*NETWORK[:4], "chdb", "msgspec", "orjson", "prometheus_client", "rich")


@pytest.mark.parametrize("folder", sorted(FOLDERS))
def test_a_folder_alone_loads_nothing_heavy(folder: str) -> None:
    assert loaded(f"import domination.{folder}", HEAVY) == "[]"


@pytest.mark.parametrize("arguments", [["--help"], ["wroker"]])
def test_the_help_waits_for_no_command_and_no_heavy_import(arguments: list[str]) -> None:
    code = f"from domination.cli.main import main; main({arguments})"
    assert loaded(code, (*HEAVY, "domination.cli.commands")) == "[]"


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
    assert last_line(COMPLETED) == "False"


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_each_help_is_there_without_the_extras(command: str) -> None:
    code = (
        "import sys; sys.modules |= dict.fromkeys(('chdb', 'nicegui', 'rich'))\n"
        f"from domination.cli.main import main; print(main([{command!r}, '--help']))"
    )
    assert last_line(code) == "0"


def test_no_command_knows_another_or_the_group() -> None:
    for module in SOURCES:
        if module.startswith("domination.cli.commands."):
            known = imported(module)
            assert not [each for each in known if each.startswith("domination.cli.commands")]
            assert "domination.cli.main" not in known


def test_no_file_is_longer_than_350_lines() -> None:
    files = [
        path
        for folder in (OURS, "dataflows", "tests", "benchmarks", "docs")
        for path in (ROOT / folder).rglob("*.py")
    ]
    assert len(files) > len(SOURCES)
    assert not [str(path) for path in files if len(path.read_text().splitlines()) > 350]
