"""On a broker with TLS, passwords and ACLs: who lacks anything is told what, and writes nothing."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from confluent_kafka.admin import AclOperation, AdminClient

from domination import advice, connection
from domination.errors import DominationError, Exit
from domination.kafka.cluster import Cluster
from domination.kafka.faults import FaultError, RefusedError
from domination.kafka.group import Group
from domination.settings import Settings, from_environment
from harness import listening
from harness.cutting_proxy import CuttingProxy
from harness.processes import DOMINATION, run
from harness.records import BAD, humans, mixed
from harness.secure_guest import Guest
from harness.secure_kafka import PASSWORD

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Mapping

    from harness.processes import Worker
    from harness.secure_kafka import SecureKafka

WRONG_PASSWORD: Final = "wrong-and-never-printed"
BROKEN: Final = (b"bad", b"key")
COMMANDS: Final[dict[str, tuple[str, ...]]] = {
    "check": ("check", "kafka"),
    "topics": ("topics",),
    "produce": ("produce", "--count", "3"),
}
EVERY: Final = tuple(COMMANDS)
MONITORS: Final = (*Settings().topics, Settings().group, Settings().clickhouse_group)


@dataclass(frozen=True)
class Case:
    """What an intruder lacks, and which words name it."""

    says: tuple[str, ...]
    settings: Mapping[str, str] = field(default_factory=dict)
    lacks: str = ""
    commands: tuple[str, ...] = ("check",)
    code: Exit = Exit.REFUSED


def lacks(operation: str, name: str) -> Case:
    return Case((f"no right to {operation} on ", "ask for that ACL"), lacks=name)


CASES: Final = {
    "password": Case(
        ("wrong user or password", "…_PASSWORD"),
        {"KAFKA_SASL_PASSWORD": WRONG_PASSWORD, "KAFKA_DEBUG": "security,broker"},
        commands=EVERY,
    ),
    "user": Case(("wrong user or password", "KAFKA_SASL_USERNAME"), {"KAFKA_SASL_USERNAME": "x"}),
    "authority": Case(
        ("certificate is not trusted", "DOMINATION_KAFKA_SSL_CA_LOCATION"),
        {"KAFKA_SSL_CA_LOCATION": "other"},
        commands=EVERY,
    ),
    # It looks like a broker that goes away.
    "no TLS": Case(
        ("no broker", "DOMINATION_KAFKA_SECURITY_PROTOCOL"),
        {"KAFKA_SECURITY_PROTOCOL": "PLAINTEXT", "AVAILABILITY_TIMEOUT_SECONDS": "2"},
        code=Exit.UNAVAILABLE,
    ),
    "any right": Case(("no right to ", " on topic "), lacks="all", commands=EVERY),
    "input": lacks("READ", "dominate"),
    "output": lacks("WRITE", "shadow"),
    "dead letters": lacks("WRITE", "dominate.dead-letter"),
    "group": lacks("READ", "domination"),
    "transactional id": lacks("WRITE", "domination/domination/"),
}
LOST: Final = {
    f"{name}, lost": case for name, case in CASES.items() if case.lacks not in ("", "all")
}


@dataclass(frozen=True)
class Outcome:
    """What came of a worker, and of the commands in its place."""

    guest: Guest
    worker: Worker
    code: int
    commands: dict[str, subprocess.CompletedProcess[str]]
    named: str


def _outcome(kafka: SecureKafka, guest: Guest, name: str) -> Outcome:
    """Let a worker run until it is refused, and then the commands."""
    case = (CASES | LOST)[name]
    guest.create()
    rights = guest.rights()
    settings = dict(case.settings)
    if "KAFKA_SASL_PASSWORD" in settings:
        del guest.environment["DOMINATION_KAFKA_SASL_PASSWORD_FILE"]
    if "KAFKA_SSL_CA_LOCATION" in settings:
        settings["KAFKA_SSL_CA_LOCATION"] = str(kafka.other_authority)
    missing = rights.get(case.lacks)
    if case.lacks != "all":
        kafka.allow(right for right in rights.values() if name in LOST or right != missing)
    if missing:  # Whoever may see it comes farthest.
        kafka.allow([replace(missing, operation=AclOperation.DESCRIBE)])
    guest.environment |= {f"DOMINATION_{name}": value for name, value in settings.items()}
    # Each of them needs what is missing: a transaction that does not need it may well commit.
    needing = [BROKEN] * 10 if case.lacks == "dominate.dead-letter" else list(humans(100))
    guest.send([*humans(100, seed=2), BROKEN] if name in LOST else needing)
    worker = guest.worker()
    if missing and name in LOST:
        guest.drained()
        kafka.deny([missing])
        guest.send(needing)
    code = worker.wait()
    commands = {
        each: run(*DOMINATION, *COMMANDS[each], environment=guest.environment)
        for each in (case.commands if name in CASES else ())
    }
    return Outcome(guest, worker, code, commands, missing.name if missing else "")


@pytest.fixture(scope="module")
def outcomes(
    secure_kafka: SecureKafka, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Outcome]:
    """Let all intruders try at the same time; give what came of each."""
    names = [*CASES, *LOST]

    def tried(name: str) -> Outcome:
        guest = Guest(secure_kafka, tmp_path_factory.mktemp("guest"))
        try:
            return _outcome(secure_kafka, guest, name)
        finally:
            guest.end()

    with ThreadPoolExecutor(5) as pool:
        return dict(zip(names, pool.map(tried, names), strict=True))


def test_with_the_rights_written_for_it_a_worker_does_its_work_exactly_once(
    guest: Guest,
) -> None:
    assert len(guest.rights()) == 5
    checked = run(*DOMINATION, *COMMANDS["check"], environment=guest.environment)
    assert checked.returncode == 0, checked.stdout
    guest.send(mixed(2_000))
    worker = guest.worker("-l", "debug", KAFKA_DEBUG="security,broker,conf")
    guest.drained()
    # Neither does it listen, nor does `ps` show its password, nor even its environment.
    process = Path(f"/proc/{worker.process.pid}")
    assert listening.addresses(worker.process.pid) == set()
    assert PASSWORD.encode() not in (process / "cmdline").read_bytes()
    assert PASSWORD.encode() not in (process / "environ").read_bytes()
    assert worker.stop() == 0
    guest.exactly_once(BAD)
    assert PASSWORD not in worker.output
    shown = run(*DOMINATION, "config", environment=guest.environment)
    assert PASSWORD not in shown.stdout + shown.stderr


@pytest.mark.parametrize("name", [*CASES, *LOST])
def test_a_worker_that_lacks_anything_ends_with_one_line_that_names_it(
    outcomes: dict[str, Outcome], name: str
) -> None:
    outcome, case = outcomes[name], (CASES | LOST)[name]
    assert outcome.code == case.code, outcome.worker.output
    (line,) = [each for each in outcome.worker.output.splitlines() if " ERROR " in each]
    for words in (*case.says, outcome.named):
        assert words in line
    assert "Traceback" not in outcome.worker.output


@pytest.mark.parametrize("name", [*CASES, *LOST])
def test_a_worker_that_lacks_anything_writes_and_commits_nothing(
    outcomes: dict[str, Outcome], name: str
) -> None:
    guest = outcomes[name].guest
    done = 101 if name in LOST else 0
    written = guest.read(guest.output).records + guest.read(guest.dead).records
    assert len(written) == done
    assert sum(guest.committed().values()) == done


@pytest.mark.parametrize(
    ("name", "command"), [(name, command) for name in CASES for command in CASES[name].commands]
)
def test_a_command_says_the_same_in_one_line_with_the_same_code(
    outcomes: dict[str, Outcome], name: str, command: str
) -> None:
    ended, case = outcomes[name].commands[command], CASES[name]
    assert ended.returncode == case.code, ended.stdout + ended.stderr
    told = [
        line
        for line in (ended.stdout + ended.stderr).splitlines()
        if line.startswith(("FAIL", "domination:"))
    ]
    assert len(told) == 1 or name == "any right"
    for words in (*case.says, outcomes[name].named):
        assert words in told[0]
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("name", [*CASES, *LOST])
def test_no_password_is_printed(outcomes: dict[str, Outcome], name: str) -> None:
    outcome = outcomes[name]
    printed = [outcome.worker.output]
    printed += [text for each in outcome.commands.values() for text in (each.stdout, each.stderr)]
    for text in printed:
        assert PASSWORD not in text
        assert WRONG_PASSWORD not in text


def test_librdkafka_logs_no_password_at_its_most_talkative(
    guest: Guest, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    settings = from_environment(guest.environment | {"DOMINATION_KAFKA_DEBUG": "all"})
    config = connection.of(settings).config({})
    client = AdminClient(config, logger=logging.getLogger("talkative"))
    client.list_topics(timeout=60)
    client.poll(1)
    assert "sasl.password" in caplog.text
    assert PASSWORD not in caplog.text


def end(error: Exception) -> DominationError:
    """Give the end that an error means to who runs the program."""
    found = advice.expected(error)
    assert found
    return found


def test_a_connection_cut_anywhere_on_its_way_in_is_no_refusal(
    guest: Guest, secure_kafka: SecureKafka
) -> None:
    def tried(count: int, seconds: float = 1) -> Exit:
        with closing(CuttingProxy(secure_kafka.address, count)) as door:
            at = {"DOMINATION_KAFKA_BOOTSTRAP_SERVERS": door.address}
            settings = from_environment(guest.environment | at)
            try:
                Cluster(connection.of(settings), seconds).partitions({guest.input: "READ"})
            except FaultError as error:
                return end(error).exit_code
            return Exit.OK

    with ThreadPoolExecutor(8) as pool:
        cut = list(pool.map(tried, range(0, 5000, 100)))
    whole = tried(100_000, 60)
    assert set(cut) <= {Exit.UNAVAILABLE, Exit.OK}
    assert cut[0] is Exit.UNAVAILABLE
    assert whole is Exit.OK


def test_a_group_that_may_not_be_seen_is_named_as_often_as_it_is_asked_for(guest: Guest) -> None:
    guest.members()  # Else the first to ask for a group of a new broker may be told to ask again.
    to = connection.of(from_environment(guest.environment))
    cluster = Cluster(to)
    seen, unseen = Group(to, guest.group), Group(to, "others", timeout=3)
    with closing(seen), closing(unseen):
        assert seen.lags(cluster, guest.input, 4) == dict.fromkeys(range(4), 0)
        for _ in range(2):
            with pytest.raises(RefusedError, match="no right to DESCRIBE on group others") as it:
                unseen.lags(cluster, guest.input, 4)
            assert end(it.value).exit_code is Exit.REFUSED
