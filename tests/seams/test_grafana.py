"""Grafana's dashboards ask for what there is, and compose starts them with it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from itertools import combinations
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml

from conftest import need
from domination.clickhouse import schema
from domination.settings import Settings, from_environment
from domination.worker.metrics import Metrics
from harness.dashboard import GRAFANA, dashboard, expressions, targets
from harness.processes import CLEAN, ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from harness.clickhouse_core import ClickHouseCore

DASHBOARDS: Final = ("domination", "clickhouse")
COMPOSE: Final = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: Final = COMPOSE["services"]
SUFFIXES: Final = {"counter": ("_total",), "histogram": ("_bucket",), "info": ("_info",)}
# What a worker exports beside: of the process, and when a series began.
UNSHOWN: Final = {"process_virtual_memory_bytes", "process_start_time_seconds"} | {
    "process_open_fds",
    "process_max_fds",
}


def exported() -> set[str]:
    """Give the names of what a worker exports, one for each family."""
    families = Metrics(Settings()).registry.collect()
    return {
        family.name + suffix for family in families for suffix in SUFFIXES.get(family.type, ("",))
    }


def panels(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = dashboard(name)["panels"]
    return found


def test_the_dashboard_shows_each_metric_of_the_worker_and_no_other() -> None:
    asked = set(re.findall(r"\b(?:domination|process)_\w+", " ".join(expressions())))
    assert asked == exported() - UNSHOWN
    assert exported() >= UNSHOWN


def test_each_series_is_named_by_labels_that_it_keeps() -> None:
    for each in targets("domination"):
        kept = set(re.findall(r"\w+", " ".join(re.findall(r"by \(([^)]*)\)", each["expr"]))))
        assert set(re.findall(r"{{(\w+)}}", each["legendFormat"])) <= kept, each["expr"]


def test_promtool_takes_each_expression(tmp_path: Path) -> None:
    need("promtool", None if shutil.which("promtool") else "no promtool")
    rules = [{"record": f"panel:{n}", "expr": expr} for n, expr in enumerate(expressions())]
    file = tmp_path / "rules.yml"
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    assert f"{len(rules)} rules found" in promtool("check", "rules", str(file))


def promtool(*arguments: str) -> str:
    command = ["promtool", *arguments]
    ran = subprocess.run(command, env=CLEAN, check=False, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


@pytest.mark.parametrize("name", DASHBOARDS)
def test_each_panel_says_what_it_shows_and_asks_the_source_that_is_chosen(name: str) -> None:
    source, *_ = dashboard(name)["templating"]["list"]
    assert (source["name"], source["type"]) == ("datasource", "datasource")
    chosen = {"type": source["query"], "uid": "${datasource}"}
    found = panels(name)
    assert len({panel["id"] for panel in found}) == len(found)
    for panel in found:
        assert panel["title"]
        assert panel["description"]
        for each in (panel, *panel["targets"]):
            assert each["datasource"] == chosen


@pytest.mark.parametrize("name", DASHBOARDS)
def test_no_panel_lies_on_another(name: str) -> None:
    places = [panel["gridPos"] for panel in panels(name)]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    for one, other in combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        assert beside or one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]


@pytest.fixture
def rows(parser: ClickHouseCore) -> Iterator[ClickHouseCore]:
    """Give a ClickHouse that has stored a shadow, and a record that is none."""
    tables = dict(schema.statements(Settings()))
    for table, row in {
        "shadow": "'Sha' AS type, 'x' AS unique_id, now64(3) AS emit_timestamp",
        "shadow_broken": "'shadow' AS kafka_topic, '{' AS raw, 'not one JSON value' AS error",
    }.items():
        parser.execute(tables[table])
        names = ", ".join(re.findall(r" AS (\w+)", row))
        parser.execute(f"INSERT INTO {table} ({names}) SELECT {row}")
    yield parser
    for table in ("shadow", "shadow_broken"):
        parser.execute(f"DROP TABLE {table}")


def test_clickhouse_answers_each_question_of_its_dashboard(rows: ClickHouseCore) -> None:
    macros = {
        r"\$__timeInterval\((\w+)\)": r"toStartOfInterval(\1, INTERVAL 1 minute)",
        r"\$__timeFilter\((\w+)\)": r"\1 > now() - 3600",
    }
    for each in targets("clickhouse"):
        sql = each["rawSql"]
        for macro, meaning in macros.items():
            sql = re.sub(macro, meaning, sql)
        assert "$" not in sql
        assert len(rows.execute(sql)) == 1, sql


def test_compose_gives_grafana_the_dashboard_and_a_source_of_its_type() -> None:
    grafana, configs = SERVICES["grafana"], COMPOSE["configs"]
    given = {each["target"]: configs[each["source"]] for each in grafana["configs"]}
    place = "/etc/grafana/dashboards/domination.json"
    file = ROOT / given[place]["file"]
    assert file == GRAFANA / "domination.json"
    assert grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"] == place
    provisioning = "/etc/grafana/provisioning/"
    (provider,) = yaml.safe_load(given[f"{provisioning}dashboards/domination.yml"]["content"])[
        "providers"
    ]
    assert provider["options"]["path"] == place.rpartition("/")[0]
    (source,) = yaml.safe_load(given[f"{provisioning}datasources/domination.yml"]["content"])[
        "datasources"
    ]
    assert source["type"] == dashboard("domination")["templating"]["list"][0]["query"]
    assert source["url"] == "http://prometheus:9090"


def test_nobody_logs_in_to_grafana_and_it_asks_nobody_outside() -> None:
    environment = SERVICES["grafana"]["environment"]
    assert environment["GF_AUTH_ANONYMOUS_ORG_ROLE"] == "Viewer"
    assert environment["GF_AUTH_DISABLE_LOGIN_FORM"] == "true"
    assert environment["GF_AUTH_BASIC_ENABLED"] == "false"
    silent = ("REPORTING_ENABLED", "CHECK_FOR_UPDATES", "CHECK_FOR_PLUGIN_UPDATES")
    assert {environment[f"GF_ANALYTICS_{name}"] for name in silent} == {"false"}
    assert environment["GF_PLUGINS_PREINSTALL_DISABLED"] == "true"


def test_compose_scrapes_each_worker_where_it_listens_and_has_the_alerts(tmp_path: Path) -> None:
    prometheus, configs = SERVICES["prometheus"], COMPOSE["configs"]
    given = {each["target"]: configs[each["source"]] for each in prometheus["configs"]}
    content = given["/etc/prometheus/prometheus.yml"]["content"]
    (job,) = yaml.safe_load(content)["scrape_configs"]
    (found,) = job["dns_sd_configs"]
    host, port = from_environment(SERVICES["worker"]["environment"]).http_address
    assert (host, port) == ("0.0.0.0", found["port"])
    assert found["names"] == ["worker"]
    alerts = ROOT / given["/etc/prometheus/alerts.yml"]["file"]
    shutil.copy(alerts, tmp_path / "alerts.yml")
    assert f'job="{job["job_name"]}"' in alerts.read_text()
    (tmp_path / "prometheus.yml").write_text(content)
    need("promtool", None if shutil.which("promtool") else "no promtool")
    assert "1 rule files found" in promtool("check", "config", str(tmp_path / "prometheus.yml"))
