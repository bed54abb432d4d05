"""A request that reaches Kafka late, after the client's own retry, changes nothing."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import pytest

from harness.kafka_frames import FENCED, TRANSACTIONAL, Request
from harness.letters import command, good, lay, sent_back
from harness.processes import DOMINATION, HURT, Worker, eventually, run
from harness.records import humans
from harness.together import waits

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.kafka_proxy import Held, KafkaProxy
    from harness.pipeline import Pipeline


# The records of a batch are at the broker before anything else of their transaction is.
SLOWLY: Final = {"CHAOS_STOP_AT": "after produce:0:-0.3"}


class Late(NamedTuple):
    """A worker, and a request of it that has come late."""

    worker: Worker
    held: Held


def aborts(request: Request) -> bool:
    return request.committed is False


def commits(request: Request) -> bool:
    return request.committed is True


def start(pipeline: Pipeline, proxy: KafkaProxy, **more: str) -> Worker:
    """Start a worker behind the proxy, and wait until it has its partitions."""
    settings = {"KAFKA_BOOTSTRAP_SERVERS": proxy.address, "INSTANCE": "a", **SLOWLY, **more}
    worker = pipeline.worker(command=HURT, **settings)
    worker.until("assigned")
    return worker


def send_twice(pipeline: Pipeline, late: Held) -> None:
    """Send what is in two transactions, since the first has ended in part when it goes on."""
    pipeline.send(humans(2_000))
    late.wait()
    pipeline.send(humans(2_000, seed=2))


def deliver_before(
    proxy: KafkaProxy, late: Held, stalled: Held, then: Callable[[], None] = lambda: None
) -> None:
    """Deliver it once records of the next transaction are there, and before its stalled request."""
    stalled.wait()
    proxy.answered("Produce", after=late.wait())
    late.deliver()
    # Kafka has then written the marks of what was late, if that has ended the transaction.
    transaction = str(late.wait().transactional_id)
    eventually(lambda: not str(proxy.state(transaction)).startswith("Prepare"))
    then()
    stalled.release()


def second(proxy: KafkaProxy, name: str, late: Held) -> Held:
    """Stall the second such request that comes later than another one."""
    first = proxy.stall(name, after=late)
    first.release()
    return proxy.stall(name, after=first)


def finish(pipeline: Pipeline, worker: Worker, late: Held) -> None:
    """See everything through: each record has one outcome, and Kafka has refused what was late."""
    pipeline.drained()
    assert worker.stop() == 0
    pipeline.exactly_once()
    assert late.error in FENCED


def abort_late(
    pipeline: Pipeline, proxy: KafkaProxy, how: str, *, kill: bool = False, **more: str
) -> Late:
    """Let an abort come late: after records of the next transaction, and before its offsets."""
    pipeline.create(partitions=1)
    held = proxy.hold("EndTxn", how, where=aborts)
    offsets = proxy.stall("AddOffsetsToTxn", after=held)
    worker = start(pipeline, proxy, CHAOS_ABORT_AT="1", **more)
    pipeline.send(humans(2_000))
    deliver_before(proxy, held, offsets, worker.kill if kill else lambda: None)
    return Late(worker, held)


def commit_late(pipeline: Pipeline, proxy: KafkaProxy, how: str, **more: str) -> Late:
    """Let a commit come late: after records of the next transaction, and before its offsets."""
    pipeline.create(partitions=1)
    worker = start(pipeline, proxy, **more)
    held = proxy.hold("EndTxn", how, where=commits)
    offsets = proxy.stall("TxnOffsetCommit", after=held)
    send_twice(pipeline, held)
    deliver_before(proxy, held, offsets)
    return Late(worker, held)


@waits
@pytest.mark.parametrize("how", ["rst", "fin"])
def test_an_abort_that_comes_late_loses_nothing_of_the_next_transaction(
    pipeline: Pipeline, proxy: KafkaProxy, how: str
) -> None:
    finish(pipeline, *abort_late(pipeline, proxy, how))


@waits
@pytest.mark.parametrize("how", ["rst", "fin", "silence"])
def test_a_commit_that_comes_late_commits_no_records_without_their_offsets(
    pipeline: Pipeline, proxy: KafkaProxy, how: str
) -> None:
    finish(pipeline, *commit_late(pipeline, proxy, how))


@waits
@pytest.mark.parametrize(
    ("schedule", "anomaly"), [(abort_late, "lost"), (commit_late, "duplicated")]
)
def test_a_worker_that_has_no_doubt_is_found_out_by_what_it_does(
    pipeline: Pipeline, proxy: KafkaProxy, schedule: Callable[..., Late], anomaly: str
) -> None:
    worker, late = schedule(pipeline, proxy, "rst", CHAOS_BREAK="no doubt")
    pipeline.drained()
    assert worker.stop() == 0
    assert late.error == 0
    found = {name for name, each in pipeline.anomalies().items() if each}
    assert found == {anomaly}


@waits
def test_a_commit_that_comes_late_between_records_commits_none_of_them(
    pipeline: Pipeline, proxy: KafkaProxy
) -> None:
    pipeline.create(partitions=1, outputs=1)
    worker = start(pipeline, proxy, COMMIT_INTERVAL_SECONDS="5")
    late = proxy.hold("EndTxn", where=commits)
    records = second(proxy, "Produce", late)
    pipeline.send(humans(1))
    proxy.answered("Produce")
    # More than a poll takes: the next transaction has a second batch.
    pipeline.send(humans(4_000, seed=2))
    deliver_before(proxy, late, records)
    finish(pipeline, worker, late)


@waits
def test_an_abort_that_comes_late_and_a_kill_lose_nothing(
    pipeline: Pipeline, proxy: KafkaProxy
) -> None:
    worker, late = abort_late(pipeline, proxy, "rst", kill=True)
    assert worker.wait() == -signal.SIGKILL
    finish(pipeline, start(pipeline, proxy), late)


@waits
def test_a_commit_that_comes_late_and_a_kill_repeat_nothing(
    pipeline: Pipeline, proxy: KafkaProxy
) -> None:
    pipeline.create(partitions=1)
    worker = start(pipeline, proxy)
    late = proxy.hold("EndTxn", where=commits)
    offsets = proxy.stall("AddOffsetsToTxn", after=late)
    send_twice(pipeline, late)
    deliver_before(proxy, late, offsets, worker.kill)
    finish(pipeline, start(pipeline, proxy), late)


@waits
def test_offsets_that_come_late_and_a_kill_repeat_nothing(
    pipeline: Pipeline, proxy: KafkaProxy
) -> None:
    pipeline.create(partitions=1)
    worker = start(pipeline, proxy)
    late = proxy.hold("TxnOffsetCommit")
    end = second(proxy, "EndTxn", late)
    send_twice(pipeline, late)
    deliver_before(proxy, late, end)
    eventually(lambda: end.wait().error is not None)
    worker.kill()
    finish(pipeline, start(pipeline, proxy), late)


@waits
@pytest.mark.parametrize("name", ["AddPartitionsToTxn", "AddOffsetsToTxn"])
def test_what_opens_a_transaction_and_comes_late_while_it_is_idle_opens_none(
    pipeline: Pipeline, proxy: KafkaProxy, name: str
) -> None:
    pipeline.create(partitions=1)
    worker = start(pipeline, proxy)
    late = proxy.hold(name)
    for seed in (1, 2):
        pipeline.send(humans(500, seed))
        pipeline.drained()
    late.deliver()
    assert proxy.state(str(late.wait().transactional_id)) != "Ongoing"
    pipeline.send(humans(500, seed=3))
    finish(pipeline, worker, late)


@waits
def test_records_of_an_aborted_transaction_that_come_late_are_in_no_other(
    pipeline: Pipeline, proxy: KafkaProxy, directory: Path
) -> None:
    pipeline.create(partitions=1, outputs=1)
    late = proxy.hold("Produce", "silence")
    records = proxy.stall("Produce", after=late)
    go = directory / "go"
    stop = {"CHAOS_STOP_AT": f"after produce:1:{go}", "CHAOS_ABORT_AT": "1"}
    worker = start(pipeline, proxy, **stop)
    pipeline.send(humans(2_000))
    late.wait()
    go.touch()
    worker.until("aborting")
    # A new producer: the one before has given the records up, which it would send again else.
    proxy.answered("InitProducerId", after=late.wait())
    late.reset()
    records.wait()
    late.deliver()
    records.release()
    finish(pipeline, worker, late)


@waits
@pytest.mark.parametrize(
    ("settings", "how"),
    [
        ({"KAFKA_LOG_CONNECTION_CLOSE": "false", "KAFKA_SOCKET_TIMEOUT_MS": "2000"}, "silence"),
        ({"KAFKA_LOG_CONNECTION_CLOSE": "false"}, "fin"),
    ],
    ids=["time-out and no log of closing", "no log of closing"],
)
def test_a_setting_under_which_nobody_hears_of_a_lost_request_is_refused_or_changes_nothing(
    pipeline: Pipeline, proxy: KafkaProxy, settings: dict[str, str], how: str
) -> None:
    environment = {f"DOMINATION_{name}": value for name, value in settings.items()}
    told = run(*DOMINATION, "config", environment=pipeline.environment | environment)
    if told.returncode:
        assert told.returncode == 78
        assert any(name in told.stderr for name in environment)
        return
    finish(pipeline, *commit_late(pipeline, proxy, how, **settings))


@waits
def test_a_commit_of_replay_that_comes_late_sends_each_letter_back_once(
    pipeline: Pipeline, proxy: KafkaProxy
) -> None:
    pipeline.create()
    lay(pipeline, good(1_200))
    late = proxy.hold("EndTxn", where=commits)
    records = second(proxy, "Produce", late)
    replay = ("dead-letters", "replay", "--yes")
    pipeline.worker(*replay, command=DOMINATION, KAFKA_BOOTSTRAP_SERVERS=proxy.address)
    deliver_before(proxy, late, records)
    # Whether or not that one went on to its end.
    command(pipeline, "replay", "--yes")
    assert sent_back(pipeline) == sorted(good(1_200), key=str)
    assert late.error in FENCED


@waits
def test_a_producer_that_loses_all_its_connections_at_once_leaves_no_call_that_hangs(
    pipeline: Pipeline, proxy: KafkaProxy
) -> None:
    pipeline.create(partitions=1)
    worker = start(pipeline, proxy)
    pipeline.started()
    threads = Path(f"/proc/{worker.process.pid}/task")
    before = len(list(threads.iterdir()))
    for seed in range(10):
        lost = proxy.hold("AddOffsetsToTxn")
        pipeline.send(humans(50, seed))
        lost.wait()
        proxy.cut(TRANSACTIONAL)
        pipeline.drained()
    assert "sending offsets did not return" not in worker.output
    assert len(list(threads.iterdir())) <= before + 4
    assert worker.stop() == 0
    pipeline.exactly_once()
