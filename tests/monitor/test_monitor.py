"""The monitor's page, in a real browser: what it shows, what it says of a source that is down."""

from __future__ import annotations

import re
import signal
import socket
import urllib.request
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pytest
from clickhouse_driver import Client

import harness.clickhouse_server as clickhouse
from conftest import need
from domination.shadow import LABELS
from harness import listening
from harness.browsing import overhear
from harness.kafka_server import free_ports
from harness.pipeline import Pipeline
from harness.processes import DOMINATION, PATIENT_SECONDS, eventually, run
from harness.records import BAD, mixed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from ipaddress import IPv4Address, IPv6Address
    from pathlib import Path

    from playwright.sync_api import Browser, Page

    from harness.kafka_server import KafkaServer
    from harness.processes import Worker

MONITOR: Final = (*DOMINATION, "monitor")


class Screen(NamedTuple):
    """The page, as it is read."""

    page: Page

    def figure(self, name: str) -> str:
        return self.page.inner_text(f"[data-figure={name}]")

    def rate(self, name: str) -> float:
        return float(self.figure(name).replace(",", ""))

    def shows(self, figures: dict[str, str]) -> None:
        """Wait until it has these figures."""
        eventually(
            lambda: {name: self.figure(name) for name in figures} == figures,
            what=lambda: f"{figures} in {self.page.inner_text('body')}",
        )

    def counts(self) -> dict[str, int]:
        found = self.page.locator("[data-count]").all_inner_texts()
        return dict(zip(LABELS, (int(each.replace(",", "")) for each in found), strict=True))

    def numbers(self, what: str) -> dict[str, int]:
        """Give the numbers that stand in elements of a name, each by what is named."""
        script = f"all => all.map(each => [each.getAttribute('{what}'), each.innerText])"
        found = self.page.locator(f"[{what}]").evaluate_all(script)
        return {name: int(text.replace(",", "")) for name, text in found}

    def source(self, name: str) -> str:
        return self.page.inner_text(f"[data-source={name}]")

    def is_up(self, *names: str) -> None:
        eventually(lambda: all(self.source(name) == f"{name} up" for name in names))


def address_of(monitor: Worker) -> str:
    monitor.until("Domination at")
    found = re.search(r"Domination at (http://\S+)", monitor.output)
    assert found
    return found[1]


@contextmanager
def looking(chromium: Browser, monitor: Worker) -> Iterator[Screen]:
    """Open the page; it asks nobody but its own server, and has nothing to complain of."""
    address = address_of(monitor)
    own = (f"{address}/", "data:", f"{address.replace('http', 'ws')}/")
    context = chromium.new_context()
    context.set_default_timeout(PATIENT_SECONDS * 1000)
    page = context.new_page()
    asked, wrong = overhear(page)
    page.goto(address)
    page.wait_for_selector("[data-source=Kafka]")
    yield Screen(page)
    context.close()
    assert wrong == []
    assert [url for url in asked if not url.startswith(own)] == []


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[clickhouse.ClickHouseServer]:
    """Give a ClickHouse with the tables, which a test may kill and start again."""
    need("ClickHouse", clickhouse.why_not())
    made = clickhouse.ClickHouseServer(tmp_path_factory.mktemp("own-clickhouse"))
    made.start()
    for sql in clickhouse.kept():
        ask(made, sql)
    yield made
    made.kill()


@pytest.fixture(scope="module")
def system(
    server: clickhouse.ClickHouseServer,
    breakable: KafkaServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Pipeline, Worker]]:
    """Give a pipeline that has judged what was sent, and a monitor of it."""
    breakable.start()
    pipeline = Pipeline(breakable.bootstrap_servers, tmp_path_factory.mktemp("monitor")).create()
    pipeline.send(mixed(3_000))
    worker = pipeline.worker()
    pipeline.drained()
    worker.stop()
    store(server, 3_000)
    monitor = pipeline.worker(command=MONITOR, MONITOR="0", CLICKHOUSE_URL=server.url())
    yield pipeline, monitor
    assert monitor.stop(signal.SIGTERM) == 0
    assert "Traceback" not in monitor.output
    pipeline.end()


@pytest.fixture(scope="module")
def screen(system: tuple[Pipeline, Worker], chromium: Browser) -> Iterator[Screen]:
    """Give the page of that monitor, which all tests look at."""
    with looking(chromium, system[1]) as opened:
        yield opened


def ask(
    server: clickhouse.ClickHouseServer, query: str, rows: object = None
) -> list[tuple[Any, ...]]:
    with Client.from_url(f"{server.url()}/default") as client:
        found: list[tuple[Any, ...]] = client.execute(query, rows)
        return found


def store(server: clickhouse.ClickHouseServer, count: int, unique_id: str = "human") -> None:
    """Store humans of now, the first hundred of them a second time."""
    (before,) = ask(server, "SELECT count() FROM shadow")[0]
    now = datetime.now(timezone.utc) - timedelta(seconds=1)
    rows = [(LABELS[number % 7 % 4], unique_id, now, 0, before + number) for number in range(count)]
    ask(server, "SYSTEM STOP MERGES")
    for again in (rows, rows[:100]):
        ask(server, clickhouse.INSERT, again)
    broken = [("shadow", 0, before, now, "text", "not one JSON value")]
    ask(server, clickhouse.INSERT_BROKEN, broken)
    ask(server, clickhouse.INSERT_BROKEN, broken)


def stored(server: clickhouse.ClickHouseServer) -> dict[str, str]:
    """Give the figures as ClickHouse has them, each row once."""
    tables = {"humans": "shadow", "broken": "shadow_broken"}
    return {
        name: f"{ask(server, f'SELECT count() FROM {table} FINAL')[0][0]:,}"
        for name, table in tables.items()
    }


def test_its_numbers_are_those_of_clickhouse_and_kafka_and_they_move(
    server: clickhouse.ClickHouseServer,
    system: tuple[Pipeline, Worker],
    screen: Screen,
) -> None:
    pipeline, _ = system
    letters = [dict(each.headers() or []) for each in pipeline.read(pipeline.dead).records]
    reasons = [str(each["domination.error.reason"], "utf-8") for each in letters]  # type: ignore[arg-type]
    screen.shows(stored(server) | {"lag": "0", "letters": f"{len(letters):,}"})
    found = ask(server, "SELECT toString(type), count() FROM shadow FINAL GROUP BY type")
    eventually(lambda: screen.counts() == dict(found))
    by_reason = {name: reasons.count(name) for name in BAD.values()}
    eventually(lambda: screen.numbers("data-reason") == by_reason)
    # Now more comes, and nobody judges it.
    committed = pipeline.committed()

    # A rate is that of the last ten seconds: more comes until it is seen.
    def flows() -> bool:
        pipeline.send(mixed(100, seed=2))
        store(server, 100)
        return screen.rate("ratings") > 0 and screen.rate("shadows") > 0

    eventually(flows)
    behind = len(pipeline.sent) - sum(committed.values())
    screen.shows(stored(server) | {"lag": f"{behind:,}"})

    def told() -> int:
        lags = screen.numbers("data-lag")
        return sum(lags[f"worker-{number}"] for number in committed)

    eventually(lambda: told() == behind)
    assert float(screen.figure("age").removesuffix(" s")) < 600


def hurt_and_mended(
    screen: Screen, name: str, kept: dict[str, str], hurt: Callable[[], None]
) -> None:
    """See that a source that is `hurt` is told, with the time, beside what it told last."""
    # It is down since it was asked in vain, which may have been before.
    before = datetime.now(timezone.utc) - timedelta(seconds=60)
    hurt()
    # The question that was under way has another answer than those after it.
    down = r"down since (\d\d:\d\d:\d\d) UTC: .*no (broker|ClickHouse) at"
    eventually(lambda: bool(re.search(down, screen.source(name))))
    found = re.search(down, screen.source(name))
    assert found, screen.source(name)
    told = datetime.strptime(f"{before:%Y-%m-%d} {found[1]} +0000", "%Y-%m-%d %H:%M:%S %z")
    if told < before - timedelta(hours=12):  # Midnight has passed.
        told += timedelta(days=1)
    assert before.replace(microsecond=0) <= told <= datetime.now(timezone.utc)
    screen.shows(kept)
    eventually(lambda: screen.page.inner_text(".health strong") == "Down")
    other = {"Kafka": "ClickHouse", "ClickHouse": "Kafka"}[name]
    assert screen.source(other) == f"{other} up"


def test_a_clickhouse_that_dies_is_told_and_its_numbers_stay_until_it_is_back(
    server: clickhouse.ClickHouseServer, screen: Screen
) -> None:
    screen.is_up("Kafka", "ClickHouse")
    screen.shows(kept := stored(server))
    hurt_and_mended(screen, "ClickHouse", kept, server.kill)
    server.start()
    store(server, 200)
    screen.is_up("ClickHouse")
    screen.shows(stored(server))
    assert stored(server) != kept
    eventually(lambda: screen.page.locator(".no-kafka, .no-clickhouse").count() == 0)


def test_a_kafka_that_dies_is_told_and_its_numbers_stay_until_it_is_back(
    breakable: KafkaServer, system: tuple[Pipeline, Worker], screen: Screen
) -> None:
    pipeline, _ = system
    screen.is_up("Kafka", "ClickHouse")
    kept = {name: screen.figure(name) for name in ("lag", "letters")}
    hurt_and_mended(screen, "Kafka", kept, breakable.kill)
    breakable.start()
    screen.is_up("Kafka")
    pipeline.send(mixed(100, seed=3))
    behind = len(pipeline.sent) - sum(pipeline.committed().values())
    screen.shows({"lag": f"{behind:,}"})
    eventually(lambda: screen.page.locator(".no-kafka, .no-clickhouse").count() == 0)


def test_without_either_server_it_starts_and_says_so_and_ends_with_0(
    tmp_path: Path, chromium: Browser
) -> None:
    kafka, server = free_ports(2)
    pipeline = Pipeline(f"127.0.0.1:{kafka}", tmp_path)
    monitor = pipeline.worker(
        command=MONITOR, MONITOR="0", CLICKHOUSE_URL=f"clickhouse://127.0.0.1:{server}"
    )
    with looking(chromium, monitor) as screen:
        for name in ("Kafka", "ClickHouse"):
            eventually(lambda n=name: "down since" in screen.source(n))  # type: ignore[misc]
        assert screen.page.locator(".card:visible").count() == 0
    with urllib.request.urlopen(
        f"{address_of(monitor)}/healthz", timeout=PATIENT_SECONDS
    ) as answer:
        assert answer.status == 200
    assert {str(each) for each in heard(monitor)} == {"127.0.0.1"}
    assert monitor.stop(signal.SIGINT) == 0
    assert "Traceback" not in monitor.output


def heard(monitor: Worker) -> set[IPv4Address | IPv6Address]:
    return listening.addresses(monitor.process.pid)


def test_a_taken_port_is_one_line_and_78() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = run(*MONITOR, environment={"DOMINATION_MONITOR": port})
    assert ended.returncode == 78
    (line,) = (ended.stdout + ended.stderr).splitlines()
    assert f"cannot listen on 127.0.0.1:{port}" in line
    assert "DOMINATION_MONITOR" in line
