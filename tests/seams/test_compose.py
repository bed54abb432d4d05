"""The compose file and the image: each fact in them that stands somewhere else too."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from xml.etree import ElementTree as ET

import click
import pytest
import yaml

from domination.cli.main import cli
from domination.settings import Settings, from_environment
from harness import clickhouse_rights
from harness.commands import called
from harness.processes import run

ROOT = Path(__file__).parent.parent.parent
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
SERVERS = {name: service for name, service in SERVICES.items() if "build" not in service}
OURS = {name: service for name, service in SERVICES.items() if "build" in service}
KAFKA = SERVICES["kafka"]["environment"]
CLICKHOUSE = SERVICES["clickhouse"]["environment"]
ADVERTISED = dict(each.split("://") for each in KAFKA["KAFKA_ADVERTISED_LISTENERS"].split(","))
DOCKERFILE = (ROOT / "Dockerfile").read_text()
ENTRY_POINT, COMMAND = (
    re.findall(rf"^{word} (.+)", DOCKERFILE, re.MULTILINE)[-1] for word in ("ENTRYPOINT", "CMD")
)


def _published(name: str) -> dict[str, str]:
    """Give the port of the host and the port of the container that it leads to."""
    return dict(port.split(":")[-2:] for port in SERVICES[name]["ports"])


def test_a_port_is_open_to_this_host_alone() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", ())]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


@pytest.mark.parametrize("name", SERVICES)
def test_each_container_has_no_capability_and_gains_no_privilege(name: str) -> None:
    assert SERVICES[name]["cap_drop"] == ["ALL"]
    assert SERVICES[name]["security_opt"] == ["no-new-privileges:true"]
    assert "cap_add" not in SERVICES[name]
    assert not SERVICES[name].get("privileged")


@pytest.mark.parametrize("name", OURS)
def test_our_containers_have_no_file_to_write_to(name: str) -> None:
    assert OURS[name]["read_only"] is True
    assert "volumes" not in OURS[name]
    assert OURS[name].get("tmpfs", []) == (["/tmp"] if name == "monitor" else [])


def test_each_image_is_pinned_by_its_digest() -> None:
    stages = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    for image in [*stages, *(server["image"] for server in SERVERS.values())]:
        assert re.fullmatch(r"[\w/-]+:v?\d+\.\d+\.[\d.]+(-slim-\w+)?@sha256:[0-9a-f]{64}", image)


def test_each_stage_has_the_python_that_the_copied_environment_links_to() -> None:
    assert len(set(re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE))) == 1


def test_the_broker_is_of_the_version_that_the_tests_run_on() -> None:
    pom = (ROOT / "tests" / "harness" / "kafka" / "pom.xml").read_text()
    version = SERVICES["kafka"]["image"].partition(":")[2].partition("@")[0]
    assert f"<artifactId>kafka_2.13</artifactId>\n      <version>{version}</version>" in pom


def test_the_host_finds_kafka_where_the_settings_look_for_it() -> None:
    assert ADVERTISED["HOST"] == Settings().bootstrap_servers
    port = ADVERTISED["HOST"].partition(":")[2]
    assert f"HOST://:{port}" in KAFKA["KAFKA_LISTENERS"].split(",")
    assert _published("kafka") == {port: port}


def test_the_host_finds_clickhouse_where_the_settings_look_for_it() -> None:
    address = urlsplit(Settings().clickhouse_url)
    assert address.hostname == "localhost"
    assert _published("clickhouse") == {str(address.port): "9000"}


@pytest.mark.parametrize("name", OURS)
def test_our_containers_find_kafka_by_the_name_of_its_service(name: str) -> None:
    host, port = ADVERTISED["CONTAINERS"].split(":")
    assert host == "kafka"
    assert f"CONTAINERS://:{port}" in KAFKA["KAFKA_LISTENERS"].split(",")
    settings = from_environment(OURS[name]["environment"])
    assert settings.bootstrap_servers == ADVERTISED["CONTAINERS"]


@pytest.mark.parametrize("name", OURS)
def test_each_name_in_the_environment_is_a_setting(name: str) -> None:
    assert set(OURS[name]["environment"]) <= {setting for setting, _ in Settings().shown()}


def test_clickhouse_reads_by_the_listener_of_the_containers() -> None:
    settings = from_environment(SERVICES["schema"]["environment"])
    assert settings.clickhouse_kafka_brokers == ADVERTISED["CONTAINERS"]


def test_the_schema_goes_to_the_server_as_its_user() -> None:
    url = urlsplit(from_environment(SERVICES["schema"]["environment"]).clickhouse_url)
    assert (url.scheme, url.hostname, url.port) == ("clickhouse", "clickhouse", 9000)
    assert url.username == CLICKHOUSE["CLICKHOUSE_USER"]
    assert url.password == CLICKHOUSE["CLICKHOUSE_PASSWORD"]
    assert url.path == "/" + CLICKHOUSE.get("CLICKHOUSE_DB", "default")


def parse(words: list[str]) -> None:
    """Fail unless these words, behind `domination`, are a command and its arguments."""
    command: click.Command = cli
    while isinstance(command, click.Group):
        command, words = called(command, words[0]), words[1:]
    command.make_context("domination", words)


@pytest.mark.parametrize(
    "words", [json.loads(COMMAND), *(service["command"] for service in OURS.values())]
)
def test_each_command_of_our_image_is_one(words: list[str]) -> None:
    parse(words)


def test_our_image_gets_the_signals_itself() -> None:
    assert json.loads(ENTRY_POINT) == ["domination"]


def test_our_image_does_not_run_as_root() -> None:
    users = re.findall(r"^USER (\w+)", DOCKERFILE.rpartition("\nFROM ")[2], re.MULTILINE)
    assert users
    assert users[-1] not in {"root", "0"}


def test_one_broker_keeps_one_copy() -> None:
    assert KAFKA["KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR"] == 1
    assert KAFKA["KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR"] == 1
    assert KAFKA["KAFKA_TRANSACTION_STATE_LOG_MIN_ISR"] == 1


def test_a_topic_is_made_by_us_alone() -> None:
    assert KAFKA["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"


def test_a_server_is_asked_for_its_health_as_its_clients_ask_it() -> None:
    assert ADVERTISED["CONTAINERS"] in SERVICES["kafka"]["healthcheck"]["test"]
    assert " --host clickhouse " in SERVICES["clickhouse"]["healthcheck"]["test"][-1]


def test_a_server_is_waited_for_until_healthy_and_a_job_until_done() -> None:
    for service in OURS.values():
        for name, dependency in service["depends_on"].items():
            waits = "service_healthy" if name in SERVERS else "service_completed_successfully"
            assert dependency["condition"] == waits


def test_the_system_stands_once_topics_and_tables_do() -> None:
    assert {"topics", "schema"} <= set(SERVICES["worker"]["depends_on"])
    assert {"topics", "clickhouse"} <= set(SERVICES["schema"]["depends_on"])


def test_a_server_keeps_its_data_in_a_named_volume() -> None:
    kept = {name: dict([server["volumes"][0].split(":")]) for name, server in SERVERS.items()}
    assert kept["kafka"] == {"kafka": KAFKA["KAFKA_LOG_DIRS"]}
    assert kept["clickhouse"] == {"clickhouse": "/var/lib/clickhouse"}
    assert kept["prometheus"] == {"prometheus": "/prometheus"}
    assert kept["grafana"] == {"grafana": "/var/lib/grafana"}
    assert set(COMPOSE["volumes"]) == set(SERVERS)


def test_clickhouse_loads_every_view_before_one_reads() -> None:
    config = SERVICES["clickhouse"]["configs"][0]
    assert config["target"].startswith("/etc/clickhouse-server/config.d/")
    content = COMPOSE["configs"][config["source"]]["content"]
    assert "<async_load_databases>false</async_load_databases>" in content


def test_workers_can_be_many() -> None:
    worker = SERVICES["worker"]
    assert not {"container_name", "hostname", "ports", "profiles"} & set(worker)
    assert "DOMINATION_INSTANCE" not in worker["environment"]


def test_humans_are_rated_and_shown_only_when_asked_for() -> None:
    asked_for = {name: service.get("profiles") for name, service in SERVICES.items()}
    named = {name: [name] for name in ("producer", "monitor", "grafana")}
    named["prometheus"] = ["grafana"]
    assert {name: profiles for name, profiles in asked_for.items() if profiles} == named


def test_the_host_finds_the_page_where_the_settings_serve_it() -> None:
    host, port = Settings().monitor_address
    inside = from_environment(SERVICES["monitor"]["environment"]).monitor_address
    assert SERVICES["monitor"]["ports"] == [f"{host}:{port}:{inside[1]}"]
    assert inside[0] == "0.0.0.0"


def monitor() -> ET.Element:
    """Give the monitor's user, as ClickHouse is told of him."""
    source, target = SERVICES["clickhouse"]["configs"][1].values()
    assert target.startswith("/etc/clickhouse-server/users.d/")
    (user,) = ET.fromstring(COMPOSE["configs"][source]["content"]).iterfind("users/*")
    return user


def test_the_page_asks_clickhouse_as_a_user_of_its_own() -> None:
    page, schema = (
        urlsplit(from_environment(SERVICES[name]["environment"]).clickhouse_url)
        for name in ("monitor", "schema")
    )
    assert (page.hostname, page.port, page.path) == (schema.hostname, schema.port, schema.path)
    assert (page.username, page.password) == (monitor().tag, monitor().findtext("password"))
    assert page.username != schema.username


def test_its_grants_are_those_that_the_page_tells_to_give() -> None:
    page = (ROOT / "docs" / "operate.md").read_text()
    told = re.findall(r"^(GRANT .*) TO monitor;$", page, re.MULTILINE)
    assert [each.text for each in monitor().iterfind("grants/query")] == told
    tables = re.findall(r"^\| SELECT \| table `(\w+)`", page, re.MULTILINE)
    assert told == [f"GRANT SELECT ON default.{table}" for table in tables]


@pytest.mark.parametrize("lacking", [None, "shadow", "shadow_broken"])
def test_with_these_grants_it_may_ask_what_it_asks_and_nothing_else(
    tmp_path: Path, lacking: str | None
) -> None:
    user = monitor()
    grants = user.find("grants")
    assert grants is not None
    for grant in list(grants):
        if f"{grant.text}".endswith(f".{lacking}"):
            grants.remove(grant)
    found = clickhouse_rights.rights(tmp_path, user)
    assert found.questions > 3
    assert found.refused == {lacking, clickhouse_rights.OTHER} - {None}


SCRIPT = ROOT / "tests" / "compose.sh"
# It says what it was called with, and answers as Docker does where all is well.
DOCKER = """\
#!/bin/sh
echo "$COMPOSE_PROJECT_NAME $*" >>"$CALLS"
case "$*" in
    "compose ps --quiet worker") echo a-worker ;;
    *RestartCount*" a-worker") echo 1 true ;;
    *Pid*" a-worker") echo 4242 ;;
    *ExitCode*" a-worker") echo 0 ;;
    "exec clickhouse "*) echo 10000 ;;
    *" schema report") printf 'total        %s\\nbroken records: 0\\n' "$TOTAL" ;;
esac
"""


def calls_of_the_script(directory: Path, total: str) -> tuple[int, list[str]]:
    """Run the script with a Docker that reports so many rows; give its end and its calls."""
    docker, calls = directory / "docker", directory / "calls"
    docker.write_text(DOCKER)
    docker.chmod(0o755)
    path = f"{directory}:{os.environ['PATH']}"
    environment = {"PATH": path, "CALLS": str(calls), "TOTAL": total}
    ended = run("bash", str(SCRIPT), environment=environment)
    own, told = zip(*(line.split(" ", 1) for line in calls.read_text().splitlines()), strict=True)
    # It deletes volumes at its end: not those of whoever runs the system here.
    assert set(own) == {f"{COMPOSE['name']}-test"}
    assert told[-1] == "compose down --volumes"
    return ended.returncode, list(told)


def test_ci_runs_all_of_it_and_kills_the_worker_between_two_halves(tmp_path: Path) -> None:
    ci = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    assert "bash tests/compose.sh" in [step.get("run") for step in ci["jobs"]["image"]["steps"]]
    status, calls = calls_of_the_script(tmp_path, "10,000")
    assert status == 0
    assert calls[0] == "compose up -d --wait"
    produced = [call for call in calls if "produce --count 5000" in call]
    (killed,) = [call for call in calls if call.endswith("os.kill(4242, 9)")]
    first, second = (at for at, call in enumerate(calls) if call in produced)
    assert first < calls.index(killed) < second
    prefix = "compose run --rm --no-deps -T "
    for call in (call.removeprefix(prefix) for call in calls if call.startswith(prefix)):
        service, *words = call.split()
        assert service in OURS
        parse(words)


def test_its_script_fails_where_a_row_is_missing_and_deletes_its_containers_too(
    tmp_path: Path,
) -> None:
    status, calls = calls_of_the_script(tmp_path, "9,999")
    assert status != 0
    assert any(call.startswith("compose logs ") for call in calls)


def test_the_client_is_reached_by_the_short_name() -> None:
    name = SERVICES["clickhouse"]["container_name"]
    assert f"docker exec -it {name} clickhouse-client" in (ROOT / "docs" / "start.md").read_text()
    assert f"docker exec {name} clickhouse-client" in SCRIPT.read_text()
    # The client takes both from its environment.
    assert {"CLICKHOUSE_USER", "CLICKHOUSE_PASSWORD"} <= set(CLICKHOUSE)
