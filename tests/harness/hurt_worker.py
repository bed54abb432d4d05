"""A worker that is made to fail: it stops at a named point, or breaks the commit rule.

Run in place of `domination worker`. CHAOS_STOP_AT is `point:count:signal`: at the count-th time it
comes to the point it sends the signal to itself, or hangs for so many seconds if that is negative;
with a count of 0 each time. In place of a signal it takes a path, and hangs until that is there.
CHAOS_ABORT_AT is a count: it aborts when so many batches have been written, as if it lost them.
CHAOS_TRANSACTION_SECONDS is the time after which Kafka aborts a transaction that is open.
CHAOS_MEMORY_MIB is the limit of its memory, as if a cgroup had it.
CHAOS_TURN_SECONDS is the time after which a worker that does not turn is not alive any more.
CHAOS_BREAK names a way to break the rule, to see that the oracle finds out.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from uuid import uuid4

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from domination.errors import exit_on_error
from domination.exactly_once import transactional
from domination.exactly_once.ends import Ends
from domination.exactly_once.ports import Change
from domination.exactly_once.reader import BATCH_RECORDS, KafkaReader
from domination.exactly_once.readers import KafkaReaders
from domination.exactly_once.rule import Position, Transaction
from domination.exactly_once.same_topic import Proof
from domination.exactly_once.writer import KafkaWriter
from domination.settings import from_environment
from domination.worker import memory
from domination.worker.health import Health
from domination.worker.memory_limit import Limit
from domination.worker.run import run

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

    from domination.exactly_once.batch import Outcome, Records, Reject
    from domination.exactly_once.parts import Parts
    from domination.exactly_once.subscription import Subscription
    from domination.exactly_once.target import Target
    from domination.kafka.client import Connection

POINTS: Final = (
    *("before produce", "after produce", "after send_offsets", "during commit", "after commit"),
    *("before renewing", "while rewinding"),
)

RENEWED: Final = "renewed"
"""It says so, with its transactional id, once no transaction of an earlier life is open."""

_LOOK_SECONDS: Final = 0.02


def counted(count: int, act: Callable[[], None]) -> Callable[[], None]:
    """Act at the count-th call alone; with a count of 0 at each."""
    times = iter(range(1, count + 1))
    return lambda: act() if next(times, 0) == count else None


def suffer(how: str) -> None:
    """Send a signal to this process, or hang, as a stop says."""
    if how.startswith("/"):
        while not Path(how).exists():
            time.sleep(_LOOK_SECONDS)
    elif (number := float(how)) > 0:
        os.kill(os.getpid(), int(number))
    else:
        time.sleep(-number)


class Stop:
    """Where the worker stops; nowhere where nothing is told."""

    def __init__(self, told: str) -> None:
        self.point, count, how = told.split(":") if told else ("", "0", "")
        self._act = counted(int(count), lambda: suffer(how))

    def at(self, point: str) -> None:
        """Come by a point."""
        if point == self.point:
            self._act()


STOP: Final = Stop(os.environ.get("CHAOS_STOP_AT", ""))


class HurtWriter(KafkaWriter):
    """A writer that comes by the points."""

    def renew(self, timeout: float) -> None:
        STOP.at("before renewing")
        super().renew(timeout)
        sys.stderr.write(f"{RENEWED} {self.target.transactional_id}\n")

    def write(self, outcome: Outcome) -> list[Reject]:
        STOP.at("before produce")
        too_large = super().write(outcome)
        STOP.at("after produce")
        return too_large

    def send_offsets(self, positions: Mapping[int, Position], proof: Proof, timeout: float) -> None:
        super().send_offsets(positions, proof, timeout)
        STOP.at("after send_offsets")

    def commit(self, timeout: float) -> None:
        if STOP.point == "during commit":
            self.flush(5)
        STOP.at("during commit")
        super().commit(timeout)
        STOP.at("after commit")

    def flush(self, seconds: float) -> None:
        """Wait until the broker has all the records, but not for longer."""
        deadline = time.monotonic() + seconds
        while self.unsent and time.monotonic() < deadline:
            self.in_doubt()  # Lets the producer tell what it has done.
            time.sleep(0.001)


class HurtReader(KafkaReader):
    """A reader that comes by the point."""

    def rewind(self, timeout: float, *, again: bool = False) -> Hashable:
        STOP.at("while rewinding")
        return super().rewind(timeout, again=again)


class HurtRule(Transaction):
    """A rule that may be told that a batch has been written, and what to do then."""

    def __init__(self, commit_interval: float, writer: HurtWriter) -> None:
        super().__init__(commit_interval, transactional.TRANSACTION_SECONDS)
        self._writer = writer
        count = os.environ.get("CHAOS_ABORT_AT")
        self._arrived = counted(int(count), self.abort) if count else lambda: None

    def arrive(self) -> None:
        super().arrive()
        self._arrived()

    def abort(self) -> None:
        """Abort a transaction whose records are at the broker, or under way for a second."""
        self._writer.flush(1)
        sys.stderr.write("aborting\n")
        self.changed()


class Committer:
    """Commits offsets on their own, beside the transactions of the worker."""

    def __init__(self, connection: Connection, topic: str) -> None:
        self._connection = connection
        self._topic = topic
        self._producer: Producer | None = None

    def commit(self, positions: Mapping[int, Position], proof: Proof) -> None:
        """Commit offsets as a member of the group; in a rebalance nobody may."""
        offsets = [TopicPartition(self._topic, n, place.offset) for n, place in positions.items()]
        with suppress(KafkaException):
            self._producer = self._producer or self._make()
            self._producer.begin_transaction()
            try:
                self._producer.send_offsets_to_transaction(offsets, proof.member, 5)
                self._producer.commit_transaction(5)
            except KafkaException:
                producer, self._producer = self._producer, None
                producer.abort_transaction(5)

    def _make(self) -> Producer:
        producer = self._connection.producer({}, {"transactional.id": uuid4().hex})
        producer.init_transactions(10)
        return producer


class EagerReader(HurtReader):
    """Commits the offsets as soon as a batch is read, as a consumer that commits by itself does."""

    def __init__(self, connection: Connection, subscription: Subscription, *others: Any) -> None:
        super().__init__(connection, subscription, *others)
        self._committer = Committer(connection, subscription.topic)

    def poll(
        self, wait: float, most: int = BATCH_RECORDS
    ) -> tuple[Records | None, dict[int, Position]]:
        records, positions = super().poll(wait, most)
        if records:
            self._committer.commit(positions, self.membership()[0])
        return records, positions


class LooseWriter(HurtWriter):
    """Commits the offsets on their own, after the records."""

    def __init__(self, connection: Connection, target: Target) -> None:
        super().__init__(connection, target)
        self._committer = Committer(connection, target.read)
        self._kept: tuple[Mapping[int, Position], Any] = {}, None

    def send_offsets(self, positions: Mapping[int, Position], proof: Proof, _: float) -> None:
        self._kept = dict(positions), proof

    def commit(self, timeout: float) -> None:
        super().commit(timeout)
        self._committer.commit(*self._kept)


class HeadlongReader(HurtReader):
    """Reads on after an abort, or a change of the assignment, as if nothing had happened."""

    def __init__(self, connection: Connection, subscription: Subscription, *others: Any) -> None:
        super().__init__(connection, subscription, *others)
        self._committer = Committer(connection, subscription.topic)

    def rewind(self, timeout: float, *, again: bool = False) -> Hashable:
        read = {n: Position(place.read) for n, place in self.places().items()}
        if read:
            self._committer.commit(read, self.membership()[0])
        return super().rewind(timeout, again=again)


class NamelessReader(HurtReader):
    """Takes a loss for an orderly change, and does not say who it is."""

    def __init__(
        self,
        connection: Connection,
        subscription: Subscription,
        changes: Callable[[Change], None],
        *others: Any,
    ) -> None:
        orderly = lambda _change: changes(Change.ORDERLY)  # noqa: E731
        super().__init__(connection, subscription, orderly, *others)
        own = {"bootstrap.servers": connection.servers, "group.id": subscription.group}
        self._stranger = Consumer(own)

    def membership(self) -> tuple[Proof, Hashable]:
        return Proof(self._stranger.consumer_group_metadata()), super().membership()[1]


class RandomWriter(HurtWriter):
    """Takes a new transactional id with every start."""

    def __init__(self, connection: Connection, target: Target) -> None:
        new = f"{target.transactional_id}-{uuid4().hex}"
        super().__init__(connection, target._replace(transactional_id=new))


class SureWriter(HurtWriter):
    """Knows no doubt, whatever has happened."""

    def in_doubt(self) -> bool:
        super().in_doubt()
        return False


class AnyMembership(HurtRule):
    """Commits whatever the records were read under."""

    def may_commit(self, _membership: Hashable) -> bool:
        return True


class Kinds(NamedTuple):
    """What a worker is made of."""

    writer: type[HurtWriter] = HurtWriter
    reader: type[HurtReader] = HurtReader
    rule: type[HurtRule] = HurtRule


BREAKS: Final = {
    "": Kinds(),
    "commit before flush": Kinds(reader=EagerReader),
    "at least once": Kinds(LooseWriter),
    "no rewind": Kinds(reader=HeadlongReader),
    "random id": Kinds(RandomWriter),
    "commit after lost": Kinds(reader=NamelessReader, rule=AnyMembership),
    "no doubt": Kinds(SureWriter),
    "any membership": Kinds(rule=AnyMembership),
}


class HurtEnds(Ends):
    """Ends whose sessions work with what CHAOS_BREAK names."""

    def parts(self, worker_index: int) -> Parts:
        whole = super().parts(worker_index)
        kinds = BREAKS[os.environ.get("CHAOS_BREAK", "")]
        assert isinstance(whole.writer, KafkaWriter)
        assert isinstance(whole.readers, KafkaReaders)
        writer = kinds.writer(whole.writer.connection, whole.writer.target)
        readers = KafkaReaders(
            whole.readers.connection, whole.readers.subscription, whole.log, kinds.reader
        )
        return whole._replace(
            rule=kinds.rule(whole.commit_interval, writer), readers=readers, writer=writer
        )


class Alone(Limit):
    """A limit that nobody else shares, and no kernel enforces."""

    def held(self) -> int:
        return 0


def main() -> int:
    """Run the worker, hurt as the environment asks."""
    if seconds := os.environ.get("CHAOS_TRANSACTION_SECONDS"):
        transactional.TRANSACTION_SECONDS = float(seconds)  # type: ignore[misc]
    if mib := os.environ.get("CHAOS_MEMORY_MIB"):
        vars(memory)["lowest"] = lambda: Alone(int(mib) * 1024 * 1024, None, Path("/"))
    if seconds := os.environ.get("CHAOS_TURN_SECONDS"):
        Health.turn_seconds = float(seconds)
    with exit_on_error():
        return run(from_environment(), make=HurtEnds)


if __name__ == "__main__":
    sys.exit(main())
