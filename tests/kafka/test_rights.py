"""What docs/operate.md lets in: the rights of commands and probes, and no others, and tokens."""

from __future__ import annotations

import base64
import re
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import orjson
import pytest
from confluent_kafka.admin import AclOperation, ResourceType

from domination import connection
from domination.errors import Exit
from domination.kafka.cluster import Cluster
from domination.kafka.faults import RefusedError
from domination.kafka.retention import kept
from domination.kafka.tail import Tail, from_first
from domination.monitor.topics import TopicsProbe
from domination.settings import Settings, from_environment
from harness.letters import good, lay
from harness.processes import DOMINATION, ROOT, eventually, run
from harness.records import BAD, mixed
from harness.secure_guest import MONITOR, Guest
from harness.secure_kafka import USER, Right
from harness.token_endpoint import Asked, basic, token, token_endpoint

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.secure_kafka import SecureKafka

MONITORS: Final = (*Settings().topics, Settings().group, Settings().clickhouse_group)
SECRET: Final = "cl1ent-secret-never-printed"
PAGE: Final = (ROOT / "docs" / "operate.md").read_text()
LOGINS: Final = [
    dict(re.findall(r"export (\w+)='?([^'\s]+)", lines))
    for lines in re.findall(r"(?:^    export .*\n)+", PAGE, re.MULTILINE)
    if "OAUTHBEARER" in lines
]
PROPERTY: Final = "DOMINATION_KAFKA_SASL_OAUTHBEARER_"


def test_replay_needs_the_rights_that_are_written_for_it(
    guest: Guest, secure_kafka: SecureKafka
) -> None:
    lay(guest, good(5))
    (name,) = re.findall(r"`(domination-dead-letters-\S+)`:", PAGE)
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


def test_what_the_topics_hold_needs_the_rights_that_are_written_for_it(
    secure_kafka: SecureKafka, tmp_path: Path
) -> None:
    guest = Guest(secure_kafka, tmp_path)
    guest.create()
    page = (ROOT / "docs" / "operate.md").read_text()
    (named,) = re.findall(r"`domination forget` \| (\w+) and (\w+) on all three topics;", page)
    cluster = Cluster(connection.of(from_environment(guest.environment)))
    topics = (guest.input, guest.output, guest.dead)
    for name in named:
        with pytest.raises(RefusedError, match=f"no right to {name} on topic {guest.input}$"):
            list(kept(cluster, topics))
        operation = AclOperation[name]
        secure_kafka.allow(Right(operation, ResourceType.TOPIC, topic) for topic in topics)
    assert [each.records for each in kept(cluster, topics)] == [0, 0, 0]


def test_who_reads_without_joining_is_told_of_the_group_and_not_of_a_topic(
    guest: Guest, secure_kafka: SecureKafka
) -> None:
    secure_kafka.deny([guest.rights()[Settings().group]])
    settings = from_environment(guest.environment)
    with closing(Tail(connection.of(settings), settings.group)) as tail:
        tail.follow(from_first(guest.input, 4))
        with pytest.raises(RefusedError, match=f"no right to READ on group {guest.group}$"):
            eventually(lambda: bool(list(tail.new(1))))


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


# A token instead of a password.


@dataclass
class Provider:
    """A provider that gives a token of the worker's user to whoever asks, and keeps the asking."""

    url: str = ""
    token: str = field(default_factory=lambda: token(USER))
    asked: list[Asked] = field(default_factory=list)

    def answer(self, asked: Asked) -> tuple[int, bytes]:
        self.asked.append(asked)
        return 200, orjson.dumps({"access_token": self.token, "token_type": "Bearer"})


@pytest.fixture
def provider() -> Iterator[Provider]:
    made = Provider()
    with token_endpoint(made.answer) as made.url:
        yield made


def log_in(guest: Guest, login: dict[str, str], provider: Provider, directory: Path) -> None:
    """Let a guest log in as the page shows, at these servers."""
    secret = directory / "client-secret"
    secret.write_text(f"{SECRET}\n")
    for name in [each for each in guest.environment if "_SASL_" in each]:
        del guest.environment[name]
    own = {
        "DOMINATION_KAFKA_BOOTSTRAP_SERVERS": guest.environment[
            "DOMINATION_KAFKA_BOOTSTRAP_SERVERS"
        ],
        f"{PROPERTY}TOKEN_ENDPOINT_URL": provider.url,
    }
    if (name := f"{PROPERTY}CLIENT_SECRET_FILE") in login:
        own[name] = str(secret)
    guest.environment |= login | own


def test_the_page_shows_a_provider_and_two_logins_at_azure() -> None:
    assert len(LOGINS) == 3


@pytest.mark.parametrize("login", LOGINS[:2], ids=["provider", "Azure application"])
def test_a_client_asks_for_a_token_with_its_secret_and_its_scope(
    guest: Guest, tmp_path: Path, provider: Provider, login: dict[str, str]
) -> None:
    log_in(guest, login, provider, tmp_path)
    Cluster(connection.of(from_environment(guest.environment))).require({guest.input: "READ"})
    assert provider.asked
    form = {"grant_type": ["client_credentials"], "scope": [login[f"{PROPERTY}SCOPE"]]}
    client = basic(login[f"{PROPERTY}CLIENT_ID"], SECRET)
    assert all(asked == (client, form) for asked in provider.asked)


def test_a_managed_identity_asks_without_a_secret(
    guest: Guest, tmp_path: Path, provider: Provider
) -> None:
    log_in(guest, LOGINS[2], provider, tmp_path)
    Cluster(connection.of(from_environment(guest.environment))).require({guest.input: "READ"})
    resource = "https://NAMESPACE.servicebus.windows.net"
    form = {"api-version": ["2018-02-01"], "resource": [resource]}
    assert provider.asked
    assert all(asked == ("", form) for asked in provider.asked)


def test_a_worker_with_a_token_does_its_work_and_prints_neither_token_nor_secret(
    guest: Guest, tmp_path: Path, provider: Provider
) -> None:
    log_in(guest, LOGINS[0], provider, tmp_path)
    guest.send(mixed(500))
    worker = guest.worker("-l", "debug", KAFKA_DEBUG="security,broker,conf")
    guest.drained()
    secrets = [SECRET, base64.b64encode(SECRET.encode()).decode(), provider.token]
    process = Path(f"/proc/{worker.process.pid}")
    assert SECRET.encode() not in (process / "environ").read_bytes()
    assert worker.stop() == 0
    guest.exactly_once(BAD)
    assert provider.asked
    client = LOGINS[0][f"{PROPERTY}CLIENT_ID"]
    secrets.append(basic(client, SECRET).split()[1])
    shown = run(*DOMINATION, "config", environment=guest.environment)
    for text in (worker.output, shown.stdout + shown.stderr):
        assert not [each for each in secrets if each in text]


def test_a_token_that_the_broker_refuses_is_named_and_its_settings_are(
    guest: Guest, tmp_path: Path, provider: Provider
) -> None:
    provider.token = token(USER, "HS256")
    log_in(guest, LOGINS[0], provider, tmp_path)
    checked = run(*DOMINATION, "check", "kafka", environment=guest.environment)
    assert checked.returncode == Exit.REFUSED
    assert "the token is not accepted" in checked.stdout
    assert f"check {PROPERTY}CLIENT_ID" in checked.stdout
    assert provider.token not in checked.stdout + checked.stderr
