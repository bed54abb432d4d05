"""Commands and probes need the rights that docs/operate.md lists for them, and no others."""

from __future__ import annotations

import re
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Final

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
from harness.secure_guest import MONITOR, Guest
from harness.secure_kafka import Right

if TYPE_CHECKING:
    from pathlib import Path

    from harness.secure_kafka import SecureKafka

MONITORS: Final = (*Settings().topics, Settings().group, Settings().clickhouse_group)


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
