"""On a broker with TLS, passwords and ACLs: who lacks anything is told what, and writes nothing."""

from __future__ import annotations

import logging
import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from confluent_kafka.admin import AclOperation, AdminClient, ResourceType

from domination import advice, connection
from domination.errors import DominationError, Exit
from domination.kafka.cluster import Cluster
from domination.kafka.faults import FaultError, RefusedError
from domination.kafka.group import Group
from domination.kafka.tail import Tail, from_first
from domination.monitor.topics import TopicsProbe
from domination.settings import Settings, from_environment
from harness import listening
from harness.cutting_proxy import CuttingProxy
from harness.letters import good, lay
from harness.processes import DOMINATION, ROOT, eventually, run
from harness.records import BAD, humans, mixed
from harness.secure_guest import MONITOR, Guest
from harness.secure_kafka import PASSWORD, Right

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator, Mapping

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
    code = worker.wait(100)
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


@pytest.fixture
def guest(secure_kafka: SecureKafka, tmp_path: Path) -> Iterator[Guest]:
    """Give a pipeline with all rights that docs/operate.md asks for, and no other."""
    made = Guest(secure_kafka, tmp_path)
    made.create()
    secure_kafka.allow(made.rights().values())
    yield made
    made.end()


def test_with_the_rights_of_the_readme_a_worker_does_its_work_exactly_once(guest: Guest) -> None:
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
    client.list_topics(timeout=10)
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
    def tried(count: int) -> Exit:
        with closing(CuttingProxy(secure_kafka.address, count)) as door:
            at = {"DOMINATION_KAFKA_BOOTSTRAP_SERVERS": door.address}
            settings = from_environment(guest.environment | at)
            try:
                Cluster(connection.of(settings), 1).partitions({guest.input: "READ"})
            except FaultError as error:
                return end(error).exit_code
            return Exit.OK

    with ThreadPoolExecutor(8) as pool:
        *cut, whole = pool.map(tried, [*range(0, 5000, 100), 100_000])
    assert set(cut) <= {Exit.UNAVAILABLE, Exit.OK}
    assert cut[0] is Exit.UNAVAILABLE
    assert whole is Exit.OK


def test_a_group_that_may_not_be_seen_is_named_as_often_as_it_is_asked_for(guest: Guest) -> None:
    to = connection.of(from_environment(guest.environment))
    cluster = Cluster(to)
    seen, unseen = Group(to, guest.group), Group(to, "others", timeout=1)
    with closing(seen), closing(unseen):
        assert seen.lags(cluster, guest.input, 4) == dict.fromkeys(range(4), 0)
        for _ in range(2):
            with pytest.raises(RefusedError, match="no right to DESCRIBE on group others") as it:
                unseen.lags(cluster, guest.input, 4)
            assert end(it.value).exit_code is Exit.REFUSED


def test_replay_needs_the_rights_that_are_written_for_it(
    guest: Guest, secure_kafka: SecureKafka
) -> None:
    lay(guest, good(5))
    page = (ROOT / "docs" / "operate.md").read_text()
    (name,) = re.findall(r"`(domination-dead-letters-\S+)`:", page)
    transactional_id = name.replace(Settings().dead_letter_topic, guest.dead)
    write, topic = AclOperation.WRITE, ResourceType.TOPIC
    secure_kafka.allow([Right(AclOperation.READ, topic, guest.dead)])
    secure_kafka.allow([Right(write, topic, guest.input)])
    replay = (*DOMINATION, "dead-letters", "replay", "--yes")
    refused = run(*replay, environment=guest.environment)
    assert refused.returncode == Exit.REFUSED
    assert f"no right to WRITE on transactional id {transactional_id}" in refused.stderr
    secure_kafka.allow([Right(write, ResourceType.TRANSACTIONAL_ID, transactional_id)])
    assert "5 sent back" in run(*replay, environment=guest.environment).stdout


def test_a_rewind_needs_the_rights_written_for_it(guest: Guest, secure_kafka: SecureKafka) -> None:
    rights = guest.rights()
    group = rights[Settings().group]
    secure_kafka.deny({*rights.values()} - {rights[Settings().input_topic], group})
    command, environment = ["rewind", "--to", "earliest", "--yes"], guest.environment
    assert run(*DOMINATION, *command, environment=environment).returncode == 0
    secure_kafka.deny([group])
    secure_kafka.allow([replace(group, operation=AclOperation.DESCRIBE)])
    refused = run(*DOMINATION, *command, environment=environment)
    assert f"no right to READ on group {guest.group}" in refused.stderr


def test_who_reads_without_joining_is_told_of_the_group_and_not_of_a_topic(
    guest: Guest, secure_kafka: SecureKafka
) -> None:
    secure_kafka.deny([guest.rights()[Settings().group]])
    settings = from_environment(guest.environment)
    with closing(Tail(connection.of(settings), settings.group)) as tail:
        tail.follow(from_first(guest.input, 4))
        with pytest.raises(RefusedError, match=f"no right to READ on group {guest.group}$"):
            eventually(lambda: bool(list(tail.new(1))), 30)


@pytest.mark.parametrize("lacking", [None, *MONITORS])
def test_the_monitor_needs_the_rights_that_are_written_for_it_and_no_other(
    secure_kafka: SecureKafka, tmp_path: Path, lacking: str | None
) -> None:
    guest = Guest(secure_kafka, tmp_path)
    guest.create()
    lay(guest, good(5))
    rights = guest.rights(MONITOR)
    assert set(rights) == set(MONITORS)
    missing = rights.get(lacking or "")
    secure_kafka.allow(right for right in rights.values() if right != missing)
    if missing and missing.operation is AclOperation.READ:  # Whoever may see it comes farthest.
        secure_kafka.allow([replace(missing, operation=AclOperation.DESCRIBE)])
    with closing(TopicsProbe(from_environment(guest.environment))) as probe:
        if missing:
            named = f"no right to {missing.operation.name} on .*{missing.name}"
            with pytest.raises(RefusedError, match=named):
                eventually(lambda: probe.look().dead_letters.whole)
        else:
            eventually(lambda: probe.look().dead_letters.whole)
            assert sum(probe.look().dead_letters.by_reason.reasons.values()) == 5
