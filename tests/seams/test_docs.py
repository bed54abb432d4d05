"""The documents say what the code does, and what they tell to type can be typed."""

from __future__ import annotations

import importlib
import os
import pkgutil
import re
import signal
import socket
import subprocess
import sys
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from domination import __version__
from domination.cli.main import cli
from domination.errors import DominationError, needs_extra
from domination.exactly_once import rule
from domination.exactly_once.reserved import RESERVED
from domination.settings import from_environment
from harness.commands import commands
from harness.kafka_server import free_ports
from harness.processes import CLEAN, PATIENT_SECONDS, ROOT, eventually
from harness.records import mixed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Database
    from harness.pipeline import Pipeline

PAGE: Final = ROOT / "docs" / "cli.md"
CHANGE: Final = ROOT / "docs" / "change.md"
PAGES: Final = [ROOT / "README.md", *sorted({*(ROOT / "docs").glob("*.md")} - {PAGE})]
NAMING: Final = [*PAGES, *(ROOT / name for name in ("CONTRIBUTING.md", "SECURITY.md"))]
TOP: Final = "domination|dataflows|schema|tests|docs|benchmarks|deploy"
FENCED: Final = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
# A comment, and what a page leaves to whoever reads it.
COMMENT: Final = re.compile(r"\s+#.*")

NOT_RUN: Final = {
    r"(pip install|uvx|pipx run) ": "it needs the network; .ci/run installs the wheel and runs it",
    r"docker (compose|exec) ": "it needs Docker; CI's image job runs tests/compose.sh",
    r"python docs/examples/bills.py": "tests/exactly_once/test_library.py runs it, and kills it",
    r"domination demo$": "tests/demo/test_demo.py runs it, and ends it with Ctrl-C",
    r"eval .*zsh": "it is zsh that has to read it",
    r"kafka-[a-z-]+\.sh ": "it is a script of a Kafka distribution",
}
ENDLESS: Final = re.compile(
    r"domination (?:worker|monitor)|domination produce (?!.*--count)|python -m bytewax"
)
# Debian's ClickHouse is as far from enough as the commands can tell.
TOO_OLD: Final = re.compile(r"domination (schema apply|forget |check$)")


def told(text: str) -> Iterator[str]:
    """Give the lines of a page's indented blocks: its commands."""
    for line in FENCED.sub("", text).splitlines():
        if line.startswith("    ") and (command := COMMENT.sub("", line.strip())):
            yield command


def exported(text: str) -> Iterator[str]:
    """Give the lines of a page that set settings together."""
    yield from re.findall(r"(?:^    export .*\n)+", FENCED.sub("", text), re.MULTILINE)


def examples() -> Iterator[str]:
    """Give the examples in the help of the commands."""
    for command in commands(cli).values():
        yield from (COMMENT.sub("", each) for each in getattr(command, "examples", ()))


IN_PAGES: Final = list(chain.from_iterable(told(page.read_text()) for page in PAGES))
COMMANDS: Final = list(dict.fromkeys([*IN_PAGES, *examples()]))
MAKES: Final = [each for each in COMMANDS if each.split()[0] == "make"]
EXPORTS: Final = [each for each in COMMANDS if each.startswith("export ")]
TOGETHER: Final = list(chain.from_iterable(exported(page.read_text()) for page in PAGES))
EXCUSED: Final = [each for each in COMMANDS if any(re.match(why, each) for why in NOT_RUN)]
RUN: Final = [each for each in COMMANDS if each not in {*MAKES, *EXPORTS, *EXCUSED}]


class Shell:
    """A shell as whoever reads has it: the programs on its path, and a pipeline's settings."""

    def __init__(self, pipeline: Pipeline, directory: Path, **more: str) -> None:
        self._directory = directory
        # As in a checkout, but what a command writes is not.
        (directory / "docs").symlink_to(ROOT / "docs")
        (directory / ".config" / "fish" / "completions").mkdir(parents=True)
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        self._environment = {**CLEAN, **pipeline.environment, "PATH": path, "HOME": str(directory)}
        self._environment |= more

    def start(self, command: str) -> subprocess.Popen[str]:
        # 9100 may be taken here.
        script = command.replace("DOMINATION_HTTP=9100", "DOMINATION_HTTP=0")
        return subprocess.Popen(
            ["bash", "-c", script],
            cwd=self._directory,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )


def listens(port: int) -> bool:
    with socket.socket() as peer:
        return peer.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def filled(pipeline: Pipeline) -> Pipeline:
    """Give a pipeline with all that the commands speak of, among it a dead letter at 0:12."""
    pipeline.create()
    pipeline.send(mixed(500))
    return pipeline


def test_each_command_of_the_pages_and_the_help_that_has_an_end_ends_well(
    filled: Pipeline, stored: Database, tmp_path: Path
) -> None:
    worker = filled.worker()
    filled.drained()
    worker.stop()
    shell = Shell(filled, tmp_path, DOMINATION_CLICKHOUSE_URL=stored.url)
    for command in RUN:
        if ENDLESS.search(command):
            continue
        process = shell.start(command)
        said, _ = process.communicate(timeout=PATIENT_SECONDS)
        if TOO_OLD.match(command):
            assert (process.returncode, "is too old" in said) == (78, True), f"{command}: {said}"
        else:
            assert process.returncode == 0, f"{command}: {said}"


def test_each_command_of_the_pages_and_the_help_that_has_no_end_ends_well_when_it_is_asked_to(
    filled: Pipeline, tmp_path: Path
) -> None:
    (port,) = free_ports(1)
    shell = Shell(filled, tmp_path, DOMINATION_MONITOR=str(port))
    running = {each: shell.start(each) for each in RUN if ENDLESS.search(each)}
    assert len(running) >= 4
    others = re.compile("domination (?:produce|monitor)")
    eventually(lambda: filled.members() >= sum(not others.search(each) for each in running))
    eventually(lambda: listens(port))
    before = len(filled.sent)
    eventually(lambda: len(filled.read(filled.input).records) > before)
    for process in running.values():
        os.killpg(process.pid, signal.SIGINT)
    for command, process in running.items():
        said, _ = process.communicate(timeout=PATIENT_SECONDS)
        assert process.returncode == 0, f"{command}: {said}"


@pytest.mark.parametrize("command", MAKES)
def test_each_make_target_of_the_pages_is_one_and_has_the_variables(command: str) -> None:
    makefile = (ROOT / "Makefile").read_text()
    words = command.split()[1:]
    for target in (word for word in words if re.fullmatch("[a-z-]+", word)):
        assert re.search(rf"^{target}:.*##", makefile, re.MULTILINE)
    for name in re.findall(r"\b([A-Z]+)=", command):
        assert f"$({name})" in makefile


@pytest.mark.parametrize("lines", TOGETHER)
def test_the_settings_that_the_pages_export_together_fit(lines: str) -> None:
    found = re.findall(r"export (\w+?)(?:_FILE)?=(\S+)", lines)
    assert len(found) == len(lines.splitlines())
    from_environment(dict(found))


@pytest.mark.parametrize("excuse", NOT_RUN)
def test_no_excuse_is_left_over(excuse: str) -> None:
    assert any(re.match(excuse, each) for each in EXCUSED)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_link_of_a_page_leads_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\((?!https?:)([^)]+)\)", page.read_text()):
        path, _, heading = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        if heading:
            headings = re.findall(r"^#+ (.+)", target.read_text(), re.MULTILINE)
            anchors = [re.sub(r"[^\w -]", "", each).lower().replace(" ", "-") for each in headings]
            assert heading in anchors, link


RELEASED: Final = "dev" not in __version__
INSTALLS: Final = (
    r"(?:pip install|(?:uv tool|pipx) install --python \S+|uvx .*--from|pipx run .*--spec) "
    r"'?([^\s'`\[]+)"
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_installs_from_a_checkout_until_the_version_is_released(page: Path) -> None:
    text = page.read_text()
    for what in re.findall(INSTALLS, text):
        assert what == ("domination" if RELEASED else "."), what
    assert not RELEASED or "is released: install from a checkout" not in text


def test_what_lacks_an_extra_says_how_to_install_it_as_the_pages_do() -> None:
    with pytest.raises(DominationError) as lacking, needs_extra("it", "monitor"):
        raise ImportError
    what = "domination" if RELEASED else "."
    assert str(lacking.value).endswith(f"pip install '{what}[monitor]'")


def test_the_version_is_released_when_the_changelog_has_its_date() -> None:
    newest = re.findall(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)[0]
    version = __version__.partition(".dev")[0]
    if RELEASED:
        assert re.fullmatch(rf"{re.escape(version)} \(\d{{4}}-\d\d-\d\d\)", newest)
    else:
        assert newest == f"{version} (not released)"


@pytest.mark.parametrize("page", NAMING, ids=lambda page: page.name)
def test_each_file_that_a_page_names_is_there(page: Path) -> None:
    text = page.read_text()
    for name in re.findall(rf"\b((?:{TOP})/[\w./-]*\.(?:py|sql|css|yml))\b", text):
        assert (ROOT / name).exists(), name
    for name in re.findall(r"`(\w+\.(?:py|css))`", text):
        assert [*ROOT.glob(f"domination/**/{name}"), *ROOT.glob(f"*/{name}")], name


def test_the_table_of_the_folders_has_each_of_them_and_each_file_lies_in_its_folder() -> None:
    _, _, section = CHANGE.read_text().partition("## Where things live")
    found = re.findall(r"^\| `([\w/]+)/` \| (.*) \|$", section, re.MULTILINE)
    folders = {
        str(path.parent.relative_to(ROOT)) for path in ROOT.glob("domination/**/__init__.py")
    }
    assert {name for name, _ in found} == folders | {"dataflows", "schema", "tests"}
    for folder, text in found:
        for name in re.findall(r"`(\w+\.\w+)`", text):
            assert (ROOT / folder / name).is_file(), (folder, name)
    top = {path.name for path in ROOT.glob("domination/*.py") if path.stem.strip("_") == path.stem}
    assert set(re.findall(r"`(\w+\.py)`", dict(found)["domination"])) == top


def lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


QUOTED: Final = (
    "docs/examples/bills.py",
    "docs/examples/tracing.py",
    "domination/flow.py",
    "tests/exactly_once/test_library.py",
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_piece_of_code_in_a_page_stands_in_a_file(page: Path) -> None:
    files = ["\n".join(lines((ROOT / name).read_text())) for name in QUOTED]
    for code in re.findall(r"^```python\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL):
        piece = "\n".join(lines(code))
        assert "faust.App" in piece or any(piece in file for file in files), code


def test_each_name_that_the_page_imports_is_there() -> None:
    table = re.findall(r"^\| `(domination[\w.]+)` \| (.*) \|$", CHANGE.read_text(), re.MULTILINE)
    assert len(table) == 9
    for module, names in table:
        for name in re.findall(r"`(\w+)`", names):
            assert hasattr(importlib.import_module(module), name), (module, name)


def test_what_a_module_of_old_is_called_now_is_there() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()
    rows = re.findall(r"^\| (`.*) \| (.*) \|$", text, re.MULTILINE)
    new = [name for _, now in rows for name in re.findall(r"`([a-z_]+(?:\.\w+)*)", now)]
    assert len(new) > len(rows)
    for name in new:
        if name not in {"source", "sink", "rejects", "origin", "dropped", "write", "read"}:
            pkgutil.resolve_name(f"domination.{name}")


def test_the_page_names_each_property_that_cannot_be_changed_and_no_other() -> None:
    _, _, section = CHANGE.read_text().partition("## Properties that cannot be changed")
    named = re.findall(r"`([a-z.]+\.[a-z.]+|acks)`", section.partition("[`reserved.py`]")[0])
    assert sorted(named) == sorted(RESERVED)


def rules(text: str) -> list[str]:
    """Give the numbered sentences of a text, each on one line."""
    found = re.findall(r"^\d\. .*(?:\n {3}.*)*", text, re.MULTILINE)
    return [" ".join(rule.split()) for rule in found]


def test_the_page_quotes_the_commit_rule_as_it_is() -> None:
    quoted = rules((ROOT / "docs" / "how.md").read_text())
    assert len(quoted) == 7
    assert quoted == rules(rule.__doc__ or "")


def test_the_picture_has_every_step_and_every_rule() -> None:
    picture = (ROOT / "docs" / "images" / "commit-rule.svg").read_text()
    words = set(re.findall(r"<text[^>]*>([^<]+)", picture))
    steps = {each.split(",")[0] for each in words}
    assert {step.name for step in rule.Step} <= steps
    assert {str(number + 1) for number in range(7)} <= words


def test_the_page_tells_of_each_alert_what_to_do_and_of_no_other() -> None:
    alerts = (ROOT / "deploy" / "prometheus" / "alerts.yml").read_text()
    heads = re.findall(
        r"^\*\*(Domination.*?)\*\*", (ROOT / "docs/operate.md").read_text(), re.MULTILINE
    )
    told = re.findall(r"Domination\w+", " ".join(heads))
    assert told
    assert sorted(told) == sorted(re.findall(r"- alert: (\w+)", alerts))


def test_the_page_of_the_commands_is_that_of_the_code() -> None:
    made = [sys.executable, "-c", "import cli; print(cli.page(), end='')"]
    environment = CLEAN | {"PYTHONPATH": str(ROOT / "docs")}
    page = subprocess.run(made, env=environment, check=True, capture_output=True, text=True)
    assert page.stdout == PAGE.read_text(), "make docs"
