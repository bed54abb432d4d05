"""Facts that live in two places."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import orjson

from domination.cli.exit_codes import EXIT_CODES
from domination.cli.main import COMMANDS
from domination.clickhouse import schema
from domination.errors import Exit
from domination.ratings import Reason
from domination.reasons import LONGEST_REASON, MOST_SHOWN
from domination.settings import Settings
from domination.shadow import ShadowType
from domination.shadows import encode_one

ROOT = Path(__file__).parent.parent.parent
README = (ROOT / "README.md").read_text()
REFERENCE = (ROOT / "docs" / "reference.md").read_text()


def test_each_command_in_the_readme_is_one() -> None:
    named = set(re.findall(r"domination ([a-z-]+)", re.sub(r"pip install domination", "", README)))
    assert {"worker", "produce", "topics", "schema", "check", "judge"} <= named
    assert named <= set(COMMANDS)


def test_each_setting_stands_in_the_reference_with_its_default() -> None:
    for name, default in Settings().shown():
        row = next(line for line in REFERENCE.splitlines() if line.startswith(f"| `{name}`"))
        assert f"`{default}`" in row or not default


def test_the_reference_says_of_each_exit_code_what_the_help_says() -> None:
    rows = re.findall(r"^\| ([\d, ]+) \| (.*) \|$", REFERENCE, re.MULTILINE)
    assert {code: meaning.replace("`", "") for code, meaning in rows} == EXIT_CODES
    assert {str(int(code)) for code in Exit} < set(EXIT_CODES)


def test_the_reference_has_each_reason_and_no_other() -> None:
    _, _, section = REFERENCE.partition("\n## Dead letters\n")
    listed = re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)
    assert sorted(listed) == sorted(reason.value for reason in Reason)


def test_the_operator_reads_how_many_reasons_the_page_shows_and_how_much_of_each() -> None:
    text = (ROOT / "docs/operate.md").read_text()
    assert f"The {MOST_SHOWN} most frequent reasons" in text
    assert f"A reason is cut to {LONGEST_REASON} characters" in text


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) < 120


def test_each_make_target_in_the_readme_is_one() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"make ([a-z]+)", README)) <= targets | {"run"}


def test_the_locks_have_every_dependency() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    lists = dict(re.findall(r"^(\w+) = \[\n(.*?)^\]", project, re.MULTILINE | re.DOTALL))
    for lock, names in {
        "requirements.lock": ["dependencies", "monitor"],
        "requirements-build.lock": ["build"],
        "requirements-demo.lock": ["dependencies", "build", "checkout", "demo", "monitor"],
        "requirements-dev.lock": ["dependencies", "build", "checkout", "dev", "demo", "monitor"],
        "requirements-fuzz.lock": ["fuzz"],
        "requirements-sbom.lock": ["sbom"],
        "requirements-docs.lock": ["docs"],
    }.items():
        locked = (ROOT / lock).read_text()
        for name in names:
            # An extra of our own is a list of its own.
            named = re.findall(r'^ +"(?!domination\[)([^"]+)"', lists[name], re.MULTILINE)
            assert named
            for requirement in named:
                package = re.split(r"[<>=]", requirement)[0]
                assert re.search(rf"^{package}==", locked, re.MULTILINE), (lock, package)


def test_the_lowest_versions_that_are_tried_are_those_that_it_allows() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    _, _, needed = project.partition("\ndependencies = [\n")
    bounds = re.findall(r'^ +"([\w-]+)[>=]=([\d.]+)', needed.partition("\n]")[0], re.MULTILINE)
    locked = (ROOT / "requirements-lowest.lock").read_text()
    assert len(bounds) > 5
    for package, bound in bounds:
        assert re.search(rf"^{package}=={re.escape(bound)}(\.0)* ", locked, re.MULTILINE), package


def test_each_lock_has_what_the_one_before_has_in_the_same_version() -> None:
    image, build, demo, all_ = (
        set(re.findall(r"^([\w-]+)==(\S+)", (ROOT / lock).read_text(), re.MULTILINE))
        for lock in (f"requirements{name}.lock" for name in ("", "-build", "-demo", "-dev"))
    )
    assert image | build <= demo <= all_


def test_the_types_in_clickhouse_are_those_of_the_topic() -> None:
    enum = ", ".join(f"'{shadow.label}' = {shadow.value}" for shadow in map(ShadowType, range(4)))
    for name, sql in schema.statements(Settings()):
        if name in {"shadow", "shadow_rows"}:
            assert f"Enum8({enum})" in sql


def test_the_fields_that_clickhouse_reads_are_those_of_the_topic() -> None:
    written = encode_one((ShadowType.SHA, "x"), datetime(2026, 1, 1, tzinfo=timezone.utc))
    fields = list(orjson.loads(written))
    consumer = dict(schema.statements(Settings()))[schema.CONSUMER]
    assert re.findall(r"(\w+) Nullable", consumer) == fields
    shadow = dict(schema.statements(Settings()))["shadow"]
    assert re.findall(r"^    (\w+) ", shadow, re.MULTILINE)[: len(fields)] == fields


def test_the_stream_reads_the_topic_that_the_worker_writes_from_the_brokers_it_uses() -> None:
    settings = Settings(bootstrap_servers="a:1,b:2", output_topic="seen", clickhouse_group="it's")
    stream = dict(schema.statements(settings))[schema.STREAM]
    assert "kafka_broker_list = 'a:1,b:2'" in stream
    assert "kafka_topic_list = 'seen'" in stream
    assert "kafka_group_name = 'it\\'s'" in stream
    seen = replace(settings, clickhouse_kafka_brokers="c:3")
    assert "kafka_broker_list = 'c:3'" in dict(schema.statements(seen))[schema.STREAM]
