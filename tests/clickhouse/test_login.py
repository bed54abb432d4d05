"""ClickHouse reads from a Kafka with TLS, passwords and ACLs, as a user of its own."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import pytest

from domination import check
from domination.cli.main import main
from domination.clickhouse import schema
from domination.clickhouse.faults import TooOldError
from domination.demo.embedded import DATABASE
from domination.errors import Exit
from domination.settings import Settings, from_environment
from harness.clickhouse_core import ClickHouseCore
from harness.processes import ROOT, eventually
from harness.secure_guest import CLICKHOUSE, Guest
from harness.secure_kafka import CLICKHOUSE_PASSWORD, CLICKHOUSE_USER
from harness.shadow_topic import shadows, write

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from harness.secure_kafka import SecureKafka

READS: Final = (Settings().output_topic, Settings().clickhouse_group)
WRONG_PASSWORD: Final = "wrong-and-never-printed"
LOGIN: Final[dict[str, Any]] = {
    "clickhouse_kafka_security_protocol": "SASL_SSL",
    "clickhouse_kafka_sasl_mechanism": "PLAIN",
    "clickhouse_kafka_sasl_username": "u",
    "clickhouse_kafka_sasl_password": CLICKHOUSE_PASSWORD,
}
LOG: Final = "<clickhouse><logger><log>{log}</log></logger></clickhouse>"


class NoTables:
    """A ClickHouse of a version, without tables."""

    def __init__(self, version: str) -> None:
        self._version = version

    def execute(self, query: str) -> list[tuple[Any, ...]]:
        return [(self._version,)] if query == "SELECT version()" else []


@pytest.fixture
def guest(secure_kafka: SecureKafka, tmp_path: Path) -> Iterator[Guest]:
    """Give topics on the secure Kafka; whoever shall read them has to be allowed."""
    made = Guest(secure_kafka, tmp_path)
    made.create()
    yield made
    made.end()


@pytest.fixture
def unstarted(tmp_path: Path) -> Iterator[ClickHouseCore]:
    """Give a ClickHouse core that is not started; its log is `clickhouse.log`."""
    made = ClickHouseCore(tmp_path / "clickhouse")
    made.configure("log", LOG.format(log=tmp_path / "clickhouse.log"))
    yield made
    made.kill()


def configuration(kafka: SecureKafka) -> str:
    """Give the configuration in docs/operate.md, with this Kafka's authority."""
    page = (ROOT / "docs" / "operate.md").read_text()
    (found,) = re.findall(r"```xml\n(<clickhouse>.*?ssl_ca_location.*?)```", page, re.DOTALL)
    here = re.sub(r">/etc/[^<]+<", f">{kafka.authority}<", str(found))
    return here.replace("default.shadow_stream", f"{DATABASE}.shadow_stream")


def findings(settings: Settings, database: Any) -> dict[str, str]:
    """Give what check finds, with the text of what is wrong."""
    found = check.of_clickhouse(settings, database, "here")
    return {each.what: str(each.error or "") for each in found}


def test_with_the_rights_that_are_written_for_it_rows_come_and_no_password_is_seen(
    guest: Guest, secure_kafka: SecureKafka, unstarted: ClickHouseCore, tmp_path: Path
) -> None:
    rights = guest.rights(CLICKHOUSE)
    assert tuple(rights) == READS
    secure_kafka.allow(rights.values())
    core, settings = unstarted, from_environment(guest.with_clickhouse())
    core.configure("kafka", configuration(secure_kafka))
    core.start()
    said = core.apply(replace(settings, clickhouse_kafka_sasl_password="older"))
    write(guest, shadows(10))
    said |= core.apply(settings)
    assert said[schema.STREAM] == "created again, since it may have an older password"
    eventually(lambda: core.count("shadow") == 10, what="all rows")
    eventually(lambda: not any(findings(settings, core).values()), what="no finding")
    ((statement,),) = core.execute("SHOW CREATE shadow_stream")
    log = (tmp_path / "clickhouse.log").read_text()
    for text in (statement, log):
        assert "kafka_sasl_password = '[HIDDEN]'" in text
    shown = [*said.items(), *findings(settings, core), statement]
    shown += core.execute("SELECT * FROM system.tables WHERE name = 'shadow_stream'")
    shown += core.execute("SELECT * FROM system.kafka_consumers")
    assert "never-printed" not in log + str(shown)


def test_an_authority_that_its_server_does_not_trust_is_found_with_what_to_do(
    guest: Guest, secure_kafka: SecureKafka, unstarted: ClickHouseCore
) -> None:
    secure_kafka.allow(guest.rights(CLICKHOUSE).values())
    core, settings = unstarted, from_environment(guest.with_clickhouse())
    core.start()
    core.apply(settings)

    def found() -> str:
        return findings(settings, core)[f"consumer of {schema.STREAM}"]

    eventually(lambda: "set ssl_ca_location" in found(), what=found)


@pytest.mark.parametrize("lacking", [None, *READS])
def test_check_names_the_right_that_its_user_lacks(
    guest: Guest, secure_kafka: SecureKafka, lacking: str | None
) -> None:
    rights = guest.rights(CLICKHOUSE)
    missing = rights.get(lacking or "")
    secure_kafka.allow(each for each in rights.values() if each != missing)
    settings = from_environment(guest.with_clickhouse())
    expected = {
        f"ClickHouse's user {CLICKHOUSE_USER} at broker {secure_kafka.address}": "",
        f"topic {guest.output}, for {CLICKHOUSE_USER}": "",
        f"group {guest.clickhouse_group}, for {CLICKHOUSE_USER}": "",
    }
    for what in expected:
        if missing and f" {missing.name}," in what:
            right = f"READ on {what.partition(',')[0]}"
            expected[what] = f"no right to {right}; ask for that ACL"

    def told() -> dict[str, str]:
        found = findings(settings, NoTables("25.8.1"))
        return {what: error for what, error in found.items() if CLICKHOUSE_USER in what}

    eventually(lambda: told() == expected, what=lambda: str(told()))


def test_a_wrong_password_is_refused_and_its_settings_are_named(guest: Guest) -> None:
    settings = from_environment(guest.with_clickhouse())
    wrong = replace(settings, clickhouse_kafka_sasl_password=WRONG_PASSWORD)

    found: list[check.Finding] = []

    def refused() -> bool:
        found[:] = check.of_clickhouse(wrong, NoTables("25.8.1"), "here")
        return any(each.exit_code is Exit.REFUSED for each in found)

    eventually(refused, what=lambda: str(found))
    (told,) = [str(each.error) for each in found if CLICKHOUSE_USER in each.what]
    assert "check DOMINATION_CLICKHOUSE_KAFKA_SASL_USERNAME, …_PASSWORD" in told
    assert "never-printed" not in str(found)


def test_brokers_that_only_clickhouse_knows_are_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "REACH_SECONDS", 0.1)
    settings = Settings(clickhouse_kafka_brokers="127.0.0.1:1", **LOGIN)
    found = findings(settings, NoTables("25.8.1"))
    assert found["ClickHouse's user u at broker 127.0.0.1:1: not asked, as none answers here"] == ""


def test_a_clickhouse_whose_tables_have_no_login_is_too_old_for_one() -> None:
    with pytest.raises(TooOldError, match=r"to log in at Kafka 4: install 25\.5 or later"):
        list(schema.apply(NoTables("25.4.9"), Settings(**LOGIN)))
    schema.require_version(NoTables("25.4.9"), Settings())


@pytest.mark.parametrize("option", [(), ("--show-secrets",)])
def test_print_has_the_password_only_where_it_is_asked_for(
    option: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in LOGIN.items():
        monkeypatch.setenv(f"DOMINATION_{name.upper()}", value)
    assert main(["schema", "print", *option]) == 0
    printed = capsys.readouterr().out
    assert "kafka_security_protocol = 'SASL_SSL'" in printed
    assert "kafka_sasl_username = 'u'" in printed
    password = "it\\'s-never-printed" if option else "[HIDDEN]"
    assert f"kafka_sasl_password = '{password}'" in printed
    assert ("never-printed" in printed) is bool(option)
