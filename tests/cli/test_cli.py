"""The commands, as a user meets them."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import orjson
import pytest

from domination.cli.main import COMMANDS, cli, main
from domination.errors import Exit
from domination.settings import Settings
from harness.commands import commands
from harness.processes import BYTEWAX, CLEAN, DOMINATION, PATIENT_SECONDS, run

if TYPE_CHECKING:
    from harness.pipeline import Pipeline

pytestmark = pytest.mark.usefixtures("no_settings")
CHECK = (*DOMINATION, "check", "kafka")
COLOUR = re.compile(r"\x1b\[[\d;]*m")
DRAW = (sys.executable, "-m", "bytewax.visualize", "dataflows.dominate:flow", "-o", "mermaid")


def test_judge_says_what_humans_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["judge", "9", "-10", "0", "7", "1" + "0" * 40]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "9 Sha",
        "-10 Dow",
        "0 ShaDow",
        "7 Incompatible",
        "1" + "0" * 40 + " Dow",
    ]


def test_the_help_says_what_each_command_does_in_whole_sentences(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["--help"]) == 0
    listed = capsys.readouterr().out.partition("Commands:\n")[2].partition("\n\n")[0].splitlines()
    assert len(listed) >= 9
    assert all(line.endswith(".") and not line.endswith("...") for line in listed)


@pytest.mark.parametrize("group", [[], ["schema"], ["dead-letters"]])
def test_a_group_without_a_command_shows_its_help_line_by_line(
    group: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*group, "--help"]) == 0
    shown = capsys.readouterr().out
    assert main(group) == Exit.USAGE
    assert capsys.readouterr().err == shown


def test_config_shows_what_is_in_force_and_no_secret(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOMINATION_GROUP", "mine")
    monkeypatch.setenv("DOMINATION_KAFKA_SASL_PASSWORD", "s3cret")
    assert main(["config"]) == 0
    out = capsys.readouterr().out
    assert "DOMINATION_GROUP=mine\n" in out
    assert "DOMINATION_KAFKA_SASL_PASSWORD=********\n" in out


def test_what_the_encoding_of_the_output_lacks_is_escaped() -> None:
    environment = {"DOMINATION_GROUP": "\u0433", "PYTHONIOENCODING": "iso-8859-1"}
    ended = run(*DOMINATION, "config", environment=environment)
    assert ended.returncode == 0, ended.stderr
    assert "DOMINATION_GROUP=\\u0433\n" in ended.stdout


def test_what_programs_read_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "--format", "json"]) == 0
    assert orjson.loads(capsys.readouterr().out)["DOMINATION_GROUP"] == "domination"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_can_complete_the_commands(shell: str) -> None:
    printed = run(*DOMINATION, "completion", shell)
    assert printed.returncode == 0, printed.stderr
    assert "_DOMINATION_COMPLETE" in printed.stdout
    # What bash asks for after `domination dead-letters re`.
    asked = {"_DOMINATION_COMPLETE": "bash_complete", "COMP_WORDS": "domination dead-letters re"}
    told = run(*DOMINATION, environment=asked | {"COMP_CWORD": "2"})
    assert told.stdout.splitlines() == ["plain,replay"]


def test_the_version_names_bytewax_and_librdkafka(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    out = capsys.readouterr().out
    assert "bytewax 0.21.1" in out
    assert "librdkafka 2." in out


@pytest.mark.parametrize("path", commands(cli))
def test_each_help_has_an_example_and_the_default_of_each_setting_it_names(
    path: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*path, "--help"]) == 0
    _, _, end = capsys.readouterr().out.partition("\nExamples:\n")
    examples, _, end = end.partition("\nSettings:\n")
    settings, *_ = end.partition("\nExit codes:\n")
    assert " ".join(["domination", *path]) in examples
    named = dict(line.split(maxsplit=1) for line in settings.splitlines() if "[" in line)
    known = dict(Settings().shown())
    assert named == {name: f"[default: {known[name]}]" for name in named}
    assert set(re.findall("DOMINATION_[A-Z_]+", settings)) <= set(known)


def test_the_list_of_the_commands_says_what_the_help_of_each_begins_with() -> None:
    found = commands(cli)
    assert {name: found[(name,)].get_short_help_str(100) for name in COMMANDS} == COMMANDS


def test_a_mistyped_command_is_told_which_one_may_be_meant(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["wroker"]) == 2
    assert "'worker'" in capsys.readouterr().err


@pytest.mark.parametrize("path", [(), ("worker",)])
def test_the_help_tells_each_exit_code(
    path: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*path, "--help"]) == 0
    _, _, codes = capsys.readouterr().out.partition("\nExit codes:\n")
    assert {line.split()[0] for line in codes.splitlines()} >= {str(int(code)) for code in Exit}


@pytest.mark.parametrize(
    "arguments",
    [
        *(["nonsense"], ["judge"], ["judge", "x"], ["worker", "-w", "0"], ["worker", "-i", "0"]),
        *(["produce", "--count", "0", "--rate", rate] for rate in ("nan", "inf", "1e400")),
        ["demo", "--humans", "1", "--bad", "nan"],
    ],
)
def test_wrong_usage_ends_with_2(arguments: list[str]) -> None:
    assert main(arguments) == 2


@pytest.mark.parametrize(
    "command", [(*DOMINATION, "worker"), (*DOMINATION, "config"), BYTEWAX], ids=lambda it: it[-1]
)
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FOO", "1"),
        ("LOG_LEVEL", "loud"),
        ("KAFKA_NO_SUCH_PROPERTY", "1"),
        ("KAFKA_LINGER_MS", "99999999"),
        ("KAFKA_LOGGER", "loud"),
        # A client takes this one, and reads the digits alone.
        ("KAFKA_MESSAGE_MAX_BYTES", "1000k"),
        # Clients of Python want no text here.
        ("KAFKA_DELIVERY_REPORT_ONLY_ERROR", "true"),
        ("KAFKA_DEFAULT_TOPIC_CONFIG", "x"),
    ],
)
def test_a_wrong_setting_is_one_line_that_names_it_and_78(
    command: tuple[str, ...], name: str, value: str
) -> None:
    ended = run(*command, environment={f"DOMINATION_{name}": value})
    assert ended.returncode == 78
    (line,) = ended.stderr.splitlines()
    assert f"DOMINATION_{name}" in line


@pytest.mark.parametrize("command", [(*DOMINATION, "worker"), BYTEWAX])
@pytest.mark.parametrize("value", ["", "0", "1"])
def test_a_worker_does_not_let_bytewax_listen_everywhere_unless_that_is_said(
    command: tuple[str, ...], value: str
) -> None:
    ended = run(*command, environment={"BYTEWAX_DATAFLOW_API_ENABLED": value})
    assert ended.returncode == 78
    (line,) = ended.stderr.splitlines()
    assert "BYTEWAX_DATAFLOW_API_ENABLED" in line
    assert "0.0.0.0" in line


def test_whoever_says_that_bytewax_may_listen_everywhere_is_believed() -> None:
    meant = {"BYTEWAX_DATAFLOW_API_ENABLED": "0.0.0.0"}
    assert run(*DRAW, environment=meant).returncode == 0


@pytest.mark.parametrize("arguments", [["check", "kafka"], ["topics"], ["produce", "--count", "1"]])
def test_without_a_broker_commands_say_so_in_one_line_and_end_with_69(arguments: list[str]) -> None:
    ended = run(
        *DOMINATION,
        *arguments,
        environment={
            "DOMINATION_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
            "DOMINATION_LOG_LEVEL": "error",
        },
    )
    assert ended.returncode == 69
    lines = (ended.stdout + ended.stderr).splitlines()
    told = [line for line in lines if "no broker at 127.0.0.1:1" in line]
    assert len(told) == 1
    assert "Traceback" not in ended.stderr


def test_a_worker_that_gives_up_says_nothing_after_that() -> None:
    patience = {"DOMINATION_AVAILABILITY_TIMEOUT_SECONDS": "1"}
    nobody = {"DOMINATION_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}
    named = {"DOMINATION_INSTANCE": "a"}  # Only Linux gives names.
    ended = run(*DOMINATION, "worker", environment=patience | nobody | named)
    assert ended.returncode == 69
    warning, error = ended.stderr.splitlines()
    assert "trying again" in warning
    assert "gave up" in error


def test_topics_are_made_once_and_left_as_they_are(pipeline: Pipeline) -> None:
    assert run(*CHECK, environment=pipeline.environment).returncode == 78
    made = run(*DOMINATION, "topics", "--partitions", "5", environment=pipeline.environment)
    assert made.stdout.splitlines()[0] == f"{pipeline.input}: created, 5 partitions"
    again = run(*DOMINATION, "topics", "--partitions", "7", environment=pipeline.environment)
    assert again.returncode == 0
    assert again.stdout.splitlines()[0] == f"{pipeline.input}: exists, not changed, 5 partitions"
    told = run(*CHECK, "--format", "json", environment=pipeline.environment)
    assert {orjson.loads(line)["ok"] for line in told.stdout.splitlines()} == {True}
    checked = run(*CHECK, environment=pipeline.environment)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert {line[:4] for line in checked.stdout.splitlines()} == {"ok  "}


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["schema", "print"], ["config"], ["completion", "zsh"]]
)
@pytest.mark.parametrize("both", [False, True], ids=["stdout", "stderr too"])
def test_a_command_whose_output_nobody_reads_ends_quietly_with_141(
    arguments: list[str], both: bool
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    stderr = writer if both else subprocess.PIPE
    command = [*DOMINATION, *arguments]
    ended = subprocess.run(command, env=CLEAN, stdout=writer, stderr=stderr, check=False)
    os.close(writer)
    assert (ended.returncode, ended.stderr) == (141, None if both else b"")


def test_produce_confirms_what_it_sends(pipeline: Pipeline) -> None:
    assert (
        run(*DOMINATION, "produce", "--count", "10", environment=pipeline.environment).returncode
        == 78
    )
    pipeline.create()
    ended = run(
        *DOMINATION, "produce", "--count", "1000", "--seed", "1", environment=pipeline.environment
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == f"1000 ratings in {pipeline.input}, every delivery confirmed\n"
    assert len(pipeline.read(pipeline.input).records) == 1000


@pytest.mark.parametrize(
    ("arguments", "shown"), [(("--count", "300"), "300/300"), (("--rate", "900"), " ratings")]
)
def test_produce_shows_on_a_terminal_how_far_it_is(
    pipeline: Pipeline, arguments: tuple[str, ...], shown: str
) -> None:
    pipeline.create()
    terminal, its_end = pty.openpty()
    produce = subprocess.Popen(
        [*DOMINATION, "produce", *arguments],
        env=CLEAN | pipeline.environment,
        stdout=subprocess.DEVNULL,
        stderr=its_end,
    )
    os.close(its_end)
    seen = ""
    while shown not in seen:
        seen += os.read(terminal, 4096).decode()
    assert not COLOUR.search(seen)
    if "--count" not in arguments:  # Else it ends by itself, and may have no handler any more.
        produce.send_signal(signal.SIGINT)
    assert produce.wait(PATIENT_SECONDS) == 0
    os.close(terminal)


def test_the_dataflow_can_be_drawn_without_a_broker() -> None:
    drawn = run(*DRAW)
    assert drawn.returncode == 0, drawn.stderr
    for step in ("records", "read", "judge", "write", "shadows"):
        assert step in drawn.stdout
