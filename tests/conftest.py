"""Fixtures: a real Kafka and ClickHouse for the session, others to break, pipelines, and sites."""

from __future__ import annotations

import os
import shutil
import signal
import uuid
from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple

import pytest
from clickhouse_driver import Client
from hypothesis import HealthCheck, settings
from playwright.sync_api import sync_playwright

import harness.clickhouse_server as clickhouse
import harness.secure_kafka as secure
from harness import kafka_server
from harness.clickhouse_core import ClickHouseCore
from harness.kafka_proxy import KafkaProxy
from harness.kafka_site import KafkaSite
from harness.memory.site import MemorySite
from harness.pipeline import Pipeline
from harness.secure_guest import Guest
from harness.shadow_topic import RECORDS
from harness.together import Together, call

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Browser

    from harness.site import Site

CI = bool(os.environ.get("CI"))

settings.register_profile("dev", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
# What CI searches besides, with a seed of its own.
settings.register_profile("random", deadline=None, max_examples=300, print_blob=True)
settings.register_profile(
    "soak", deadline=None, max_examples=5000, suppress_health_check=list(HealthCheck)
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if CI else "dev"))


SERVERS = {
    *("bootstrap_servers", "breakable", "secure_kafka", "site"),
    *("clickhouse_server", "core", "parser", "chromium"),
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that a server is started for: `-m "not server"` leaves them out."""
    for item in items:
        if SERVERS & {*getattr(item, "fixturenames", ())}:
            item.add_marker("server")


def need(server: str, why_not: str | None) -> None:
    """Skip a test for want of a server, which in CI is a failure."""
    if why_not:
        if CI:
            pytest.fail(f"no {server} in CI: {why_not}")
        pytest.skip(why_not)


@pytest.fixture(scope="session")
def bootstrap_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the address of a Kafka that all tests share."""
    if given := os.environ.get("DOMINATION_TEST_BOOTSTRAP_SERVERS"):
        yield given
        return
    need("Kafka", kafka_server.why_not())
    server = kafka_server.KafkaServer(tmp_path_factory.mktemp("kafka"))
    server.start()
    yield server.bootstrap_servers
    server.kill()


@pytest.fixture
def pipeline(bootstrap_servers: str, tmp_path: Path) -> Iterator[Pipeline]:
    """Give a pipeline on the shared Kafka."""
    made = Pipeline(bootstrap_servers, tmp_path)
    yield made
    made.end()


@pytest.fixture(scope="module")
def together(
    request: pytest.FixtureRequest,
    bootstrap_servers: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Together]:
    """Give each a pipeline, and a way to the shared Kafka that holds requests back."""

    def run(scenario: Callable[..., None]) -> None:
        directory = tmp_path_factory.mktemp("together")
        pipeline = Pipeline(bootstrap_servers, directory)
        with closing(KafkaProxy(bootstrap_servers)) as proxy:
            try:
                call(scenario, pipeline=pipeline, proxy=proxy, directory=directory)
            finally:
                pipeline.end()

    with closing(Together(request, run, 4)) as made:
        yield made


@pytest.fixture(params=["memory", "kafka"])
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    """Give where a reader or a writer is tried: in memory, and on the shared Kafka."""
    if request.param == "memory":
        yield MemorySite()
        return
    with closing(KafkaSite(request.getfixturevalue("bootstrap_servers"))) as made:
        yield made


@pytest.fixture(scope="session")
def breakable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[kafka_server.KafkaServer]:
    """Give a Kafka beside the shared one, not yet started."""
    need("Kafka", kafka_server.why_not())
    server = kafka_server.KafkaServer(tmp_path_factory.mktemp("own-kafka"))
    yield server
    server.kill()


@pytest.fixture
def own_kafka(breakable: kafka_server.KafkaServer) -> Iterator[kafka_server.KafkaServer]:
    """Give a Kafka, started, that a test may freeze, kill and start again."""
    breakable.start()
    yield breakable
    breakable.send_signal(signal.SIGCONT)


@pytest.fixture
def own_pipeline(own_kafka: kafka_server.KafkaServer, tmp_path: Path) -> Iterator[Pipeline]:
    """Give a pipeline on a Kafka of its own."""
    made = Pipeline(own_kafka.bootstrap_servers, tmp_path)
    yield made
    made.end()


@pytest.fixture(scope="module")
def secure_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[secure.SecureKafka]:
    """Give a Kafka that lets nobody in without a password and nobody do what he has no right to."""
    need("Kafka", kafka_server.why_not())
    server = secure.SecureKafka(tmp_path_factory.mktemp("secure-kafka"))
    server.start()
    yield server
    server.kill()


@pytest.fixture
def guest(secure_kafka: secure.SecureKafka, tmp_path: Path) -> Iterator[Guest]:
    """Give a pipeline with all rights that docs/operate.md asks for, and no other."""
    made = Guest(secure_kafka, tmp_path)
    made.create()
    secure_kafka.allow(made.rights().values())
    yield made
    made.end()


@pytest.fixture
def core(tmp_path: Path) -> Iterator[ClickHouseCore]:
    """Give a ClickHouse core that a test may kill."""
    made = ClickHouseCore(tmp_path / "clickhouse")
    made.start()
    yield made
    made.kill()


@pytest.fixture(scope="module")
def parser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouseCore]:
    """Give a ClickHouse core with a table of records, in place of the stream's."""
    made = ClickHouseCore(tmp_path_factory.mktemp("parser"))
    made.start()
    made.execute(RECORDS)
    yield made
    made.kill()


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Give a browser, Debian's own, without a screen."""
    program = shutil.which("chromium")
    need("Chromium", None if program else "no chromium")
    with sync_playwright() as playwright:
        # Root, as in a container, may not shut it in a sandbox.
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def clickhouse_server(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[clickhouse.ClickHouseServer]:
    """Give a ClickHouse that all tests share; each makes a database of its own."""
    need("ClickHouse", clickhouse.why_not())
    server = clickhouse.ClickHouseServer(tmp_path_factory.mktemp("clickhouse"))
    server.start()
    yield server
    server.kill()


class Database(NamedTuple):
    """A database of a test's own, and a way to look into it that is not the package's."""

    url: str
    client: Client


@pytest.fixture
def database(clickhouse_server: clickhouse.ClickHouseServer) -> Iterator[Database]:
    """Give a database of a test's own."""
    name = f"test_{uuid.uuid4().hex}"
    with Client.from_url(clickhouse_server.url()) as client:
        client.execute(f"CREATE DATABASE {name}")
    url = f"{clickhouse_server.url()}/{name}"
    with Client.from_url(url) as client:
        yield Database(url, client)


@pytest.fixture
def stored(database: Database) -> Database:
    """Give a database with the two tables that keep what was read, and nothing in them."""
    for sql in clickhouse.kept():
        database.client.execute(sql)
    return database


@pytest.fixture
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unset every setting of this process."""
    for name in os.environ:
        if name.startswith("DOMINATION_"):
            monkeypatch.delenv(name)
