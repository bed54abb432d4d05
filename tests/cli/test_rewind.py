"""`domination rewind` on a real Kafka: members, transactions, times and retention."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from domination import connection
from domination.errors import DominationError, Exit
from domination.kafka.faults import MembersError, UnsettledError
from domination.kafka.group import Group
from domination.rewind import EARLIEST, LATEST, Plan, Rewind, Time
from domination.settings import from_environment
from harness.processes import DOMINATION, run
from harness.records import humans

if TYPE_CHECKING:
    from harness.pipeline import Pipeline


def rewound(pipeline: Pipeline, *arguments: str, code: int = 0) -> list[str]:
    """Give the lines of a rewind: what it has found, or where it is refused, why."""
    ended = run(*DOMINATION, "rewind", "--to", *arguments, environment=pipeline.environment)
    assert ended.returncode == code, ended.stdout + ended.stderr
    return (ended.stderr if code else ended.stdout).splitlines()


def rewind(pipeline: Pipeline, patience: float = 30) -> Rewind:
    return Rewind(from_environment(pipeline.environment), patience)


def whither(found: Plan) -> dict[int, int]:
    return {move.place.partition: move.to for move in found.go}


def test_a_group_goes_back_once_its_workers_are_stopped_and_the_next_one_judges_again(
    pipeline: Pipeline,
) -> None:
    pipeline.create(partitions=2)
    worker = pipeline.worker(INSTANCE="still-here")
    pipeline.send(humans(100))
    pipeline.drained()
    before = pipeline.committed()
    for asked in ((), ("--yes",)):
        (line,) = rewound(pipeline, EARLIEST, *asked, code=Exit.TEMPORARY)
        assert f"group {pipeline.group} has members: still-here" in line
        assert "stop all workers" in line
    group = Group(connection.of(from_environment(pipeline.environment)), pipeline.group)
    with closing(group), pytest.raises(MembersError):
        group.move(pipeline.input, {0: 0})
    assert worker.stop() == 0
    *dry, count, advice = rewound(pipeline, EARLIEST)
    assert dry == [
        f"{pipeline.input}[{n}]: {offset} -> 0: {offset} again" for n, offset in before.items()
    ]
    assert count.split()[:2] == ["100", "judged"]
    assert "--yes" in advice
    assert pipeline.committed() == before
    rewound(pipeline, EARLIEST, "--yes")
    assert pipeline.committed() == {0: 0, 1: 0}
    again = pipeline.worker()
    pipeline.drained()
    assert again.stop() == 0
    assert len(pipeline.read(pipeline.output).records) == 200


def open_offsets(pipeline: Pipeline, offset: int) -> Producer:
    """Let a transaction stay open that commits an offset, as that of a worker killed amid it."""
    config = {"bootstrap.servers": pipeline.bootstrap_servers}
    producer = Producer(config | {"transactional.id": pipeline.group})
    producer.init_transactions(30)
    producer.begin_transaction()
    with closing(Consumer(config | {"group.id": pipeline.group})) as consumer:
        places = [TopicPartition(pipeline.input, 0, offset)]
        producer.send_offsets_to_transaction(places, consumer.consumer_group_metadata(), 30)
    return producer


def test_a_transaction_that_may_commit_offsets_is_waited_for_and_undoes_no_move(
    pipeline: Pipeline,
) -> None:
    pipeline.create(partitions=1)
    pipeline.send(humans(100))
    pipeline.reset_offsets(50)
    producer = open_offsets(pipeline, 80)
    with pytest.raises(UnsettledError, match=pipeline.group):
        rewind(pipeline, patience=1).plan(EARLIEST, skip=False)
    producer.commit_transaction(30)
    found = rewind(pipeline).plan(EARLIEST, skip=False)
    assert found.again == 80
    # One that opens only now comes too late.
    producer = open_offsets(pipeline, 90)
    rewind(pipeline).do(found)
    producer.commit_transaction(30)
    assert pipeline.committed() == {0: 0}


def test_a_time_is_that_of_the_first_record_that_is_not_older(pipeline: Pipeline) -> None:
    pipeline.create(partitions=3)
    producer = Producer({"bootstrap.servers": pipeline.bootstrap_servers})
    begin = 1_750_000_000_000
    for number in range(10):
        producer.produce(pipeline.input, b"x", partition=0, timestamp=begin + number * 1000)
    producer.produce(pipeline.input, b"x", partition=1, timestamp=begin)
    assert producer.flush(30) == 0
    ends = pipeline.ends(pipeline.input)
    assert ends == {0: 10, 1: 1, 2: 0}
    first = rewind(pipeline)
    first.do(first.plan(LATEST, skip=True))
    assert pipeline.committed() == ends
    found = rewind(pipeline).plan(Time(begin + 5500), skip=False)
    assert whither(found) == {0: 6, 1: 1, 2: 0}
    assert found.again == 4
    rewind(pipeline).do(found)
    # From there on, that time is no way back, and a later one would leave out records.
    with pytest.raises(DominationError, match="3 records would be skipped"):
        rewind(pipeline).plan(Time(begin + 8500), 0, skip=False)


def test_records_that_retention_has_taken_are_no_place_to_go_to(pipeline: Pipeline) -> None:
    pipeline.create(partitions=2)
    pipeline.send(humans(200))
    end = pipeline.ends(pipeline.input)[0]
    (deleted,) = pipeline.admin.delete_records([TopicPartition(pipeline.input, 0, 20)]).values()
    deleted.result(30)
    pipeline.reset_offsets(10)
    for offset in ("19", f"{end + 1}"):
        (line,) = rewound(pipeline, offset, "--partition", "0", code=Exit.SETTING)
        assert f"has no offset {offset}: it begins at 20 and ends at {end}" in line
    assert whither(rewind(pipeline).plan(EARLIEST, 0, skip=False)) == {0: 20}
    assert whither(rewind(pipeline).plan(20, 0, skip=False)) == {0: 20}
    assert whither(rewind(pipeline).plan(Time(0), skip=False)) == {0: 20, 1: 0}


def test_what_cannot_be_meant_is_refused_in_one_line(pipeline: Pipeline) -> None:
    pipeline.create(partitions=2)
    pipeline.send(humans(10))
    found = rewind(pipeline)
    with pytest.raises(DominationError, match="has 2 partitions: name one with --partition") as it:
        found.plan(0, skip=False)
    assert it.value.exit_code is Exit.USAGE
    with pytest.raises(DominationError, match="has no partition 2"):
        found.plan(EARLIEST, 2, skip=False)
    # Without any offset a worker refuses to begin; with a single one it would read the rest.
    with pytest.raises(DominationError, match="leave --partition out"):
        found.plan(EARLIEST, 0, skip=False)
    assert rewound(pipeline, "soon", code=Exit.USAGE)[-1].startswith("Error: 'soon' is not")
