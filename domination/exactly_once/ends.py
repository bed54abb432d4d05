"""Two ends on Kafka for a Bytewax dataflow: from one topic to others, each record exactly once.

The source and the sink of one `Ends` share one `Session` for each Bytewax worker, since a
transaction holds both what was written and how far was read.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from bytewax.inputs import DynamicSource, StatelessSourcePartition
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from bytewax.run import cli_main

from domination.exactly_once.availability import Availability
from domination.exactly_once.batch import Batch, Records, required
from domination.exactly_once.dead_letter import Form
from domination.exactly_once.defaults import LOG, Quiet, StopEvent, SystemClock
from domination.exactly_once.identity import Identity
from domination.exactly_once.options import DEFAULTS, Options, Topics, id_prefix, misfit
from domination.exactly_once.parts import Parts
from domination.exactly_once.ports import Stop
from domination.exactly_once.preflight import KafkaPreflight
from domination.exactly_once.readers import KafkaReaders
from domination.exactly_once.reserved import RESERVED
from domination.exactly_once.rule import Transaction
from domination.exactly_once.session import Session
from domination.exactly_once.subscription import Subscription
from domination.exactly_once.target import Target
from domination.exactly_once.transactional import TRANSACTION_SECONDS
from domination.exactly_once.writer import KafkaWriter
from domination.kafka.client import Connection
from domination.kafka.client_log import ClientLog
from domination.kafka.end_offsets import KafkaEndOffsets
from domination.kafka.faults import Rights, SettingError

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Mapping

    from bytewax.dataflow import Dataflow

    from domination.exactly_once.ports import Observer


class Ends:
    """A source and a sink that share a session for each worker of this process.

    - `properties` are librdkafka's, including `bootstrap.servers`. Those in `reserved.py` are
      refused.
    - `topics` names the topics to read and to write, all different. `group` is the consumer group;
      no other program may use it.
    - `observer` is called with the index of a worker, counted from 0, and returns its `Observer`.
      That one is called on the worker's own thread.
    - `stop` tells the workers to end, and gets the first failure. By default nobody sets it.
    - `log` is the logger. The ends set up no handler.

    Raises `SettingError` if an argument is not valid.

    Nothing connects before the dataflow runs. The ends never raise a failure into Bytewax, which
    would turn it into a panic without its message. They pass it to `stop.fail`, and every source
    then ends as at the end of its input.
    """

    def __init__(  # noqa: PLR0913 - most by name, with a default
        self,
        properties: Mapping[str, Any],
        topics: Topics,
        group: str,
        *,
        options: Options = DEFAULTS,
        observer: Callable[[int], Observer] | None = None,
        stop: Stop | None = None,
        log: logging.Logger = LOG,
    ) -> None:
        for name in properties:
            if name in RESERVED:
                raise SettingError(f"the property {name} cannot be changed: {RESERVED[name]}")
        if why := misfit(topics, group, options):
            raise SettingError(why)
        if stop is not None and not isinstance(stop, Stop):
            raise TypeError(
                f"{type(stop).__name__} is not a Stop: it needs stopping, pause, error, fail"
            )
        self._connection = Connection(properties, ClientLog(log.getChild("librdkafka")))
        self._topics = topics
        self._group = group
        self._options = options
        self._observer = observer or _quiet
        self._log = log
        self._lock = threading.Lock()
        self._identities: dict[int, Identity] = {}
        self.stop = StopEvent(log) if stop is None else stop
        self.sessions: dict[int, Session] = {}
        """The sessions of this process, by worker."""
        self.source = Source(self)
        self.sink = Sink(self)

    def session(self, worker_index: int) -> Session:
        """Give the session of a worker of this process; each worker runs on a thread of its own."""
        if worker_index not in self.sessions:
            with self._lock:
                self.sessions[worker_index] = Session(self.parts(worker_index))
        return self.sessions[worker_index]

    def parts(self, worker_index: int) -> Parts:
        """Make what the session of a worker works with."""
        options, topics = self._options, self._topics
        log = self._log.getChild(f"worker-{worker_index}")
        identity = Identity(options.name, self._group, options.instance, worker_index)
        self._identities[worker_index] = identity
        clock, servers = SystemClock(), self._connection.servers
        preflight = KafkaPreflight(self._connection, topics.needed)
        return Parts(
            rule=Transaction(options.commit_interval, TRANSACTION_SECONDS),
            name=identity.instance,
            topic=topics.read,
            readers=KafkaReaders(self._connection, self._subscription(identity), log),
            writer=KafkaWriter(self._connection, self._target(identity)),
            end_offsets=KafkaEndOffsets(self._connection, topics.read),
            preflight=preflight,
            availability=Availability(
                servers,
                options.availability_timeout,
                self.stop,
                clock,
                log,
                look=preflight.unreachable,
            ),
            observer=self._observer(worker_index),
            clock=clock,
            stop=self.stop,
            log=log,
            commit_interval=options.commit_interval,
            joining=f"kafka {servers}, group {self._group}, instance {identity.instance}: "
            f"{topics.read} to {', '.join(topics.write)}, dead letters to {topics.dead_letters}",
        )

    def fail(self, error: Exception) -> None:
        """Tell why the workers end, as the last word: nothing of the clients follows it."""
        self._connection.log.end()
        self.stop.fail(error)

    def close(self, worker_index: int) -> None:
        """Close the session of a worker, if it came so far as to have one, and give its name up."""
        try:
            if worker_index in self.sessions:
                self.sessions[worker_index].close()
        except Exception as error:  # noqa: BLE001 - Bytewax would hide its message
            self.fail(error)
        finally:
            if worker_index in self._identities:
                self._identities[worker_index].release()

    def _subscription(self, identity: Identity) -> Subscription:
        topics = self._topics
        return Subscription(
            topics.read,
            self._group,
            identity.instance,
            (*topics.write, topics.dead_letters),
            Rights(f"READ on topic {topics.read}", f"READ on group {self._group}"),
        )

    def _target(self, identity: Identity) -> Target:
        topics, options = self._topics, self._options
        prefix = id_prefix(options.name, self._group)
        ids = f"WRITE on every transactional id that begins with {prefix}"
        return Target(
            identity.transactional_id,
            topics.read,
            topics.write,
            topics.dead_letters,
            Form(f"{options.name}."),
            options.too_large,
            Rights(group=f"READ on group {self._group}", transactional_ids=ids),
        )

    def run(self, flow: Dataflow, workers: int = 1) -> None:
        """Run a dataflow between these ends until `stop` is set, with `workers` threads.

        Call it on the main thread. It raises the error that ended the first worker, after it has
        passed it to `stop.fail`: a `FaultError`, a `BrokenContractError` if a step has broken its
        contract, or the exception of a step of `operators.py`. Bytewax itself raises the
        exceptions of its own operators.
        """
        cli_main(flow, workers_per_process=workers)  # type: ignore[no-untyped-call]  # Rust's
        if self.stop.error:
            raise self.stop.error


class Source(DynamicSource[Records]):
    """The records of the topic, one batch a poll.

    Unit of parallelism: a Bytewax worker is one member of the consumer group. Guarantee: exactly
    once with the sink of the same `Ends`. Void when a step between them drops a batch, splits it,
    or moves it to another worker.
    """

    def __init__(self, ends: Ends) -> None:
        self._ends = ends

    def build(self, _step_id: str, worker_index: int, _worker_count: int) -> _SourcePartition:
        """Make one worker's end; it connects with its first poll."""
        return _SourcePartition(self._ends, worker_index)


class Sink(DynamicSink["Batch[bytes | None]"]):
    """What becomes of the records, in transactions: values to their topics, rejects laid aside.

    Takes an `Outcome`, or a `Batch` of bytes whose values carry over all else from their records.
    Unit of parallelism: a Bytewax worker is one transactional producer. Guarantee: a read_committed
    reader sees the outcome of each input record once. Void for readers that read uncommitted.
    """

    def __init__(self, ends: Ends) -> None:
        self._ends = ends

    def build(self, _step_id: str, worker_index: int, _worker_count: int) -> _SinkPartition:
        """Make one worker's end."""
        return _SinkPartition(self._ends, worker_index)


def _quiet(_worker_index: int) -> Observer:
    return Quiet()


class _SourcePartition(StatelessSourcePartition[Records]):
    def __init__(self, ends: Ends, worker_index: int) -> None:
        self._ends = ends
        self._worker_index = worker_index

    def next_batch(self) -> list[Records]:
        batch = None
        try:
            batch = self._ends.session(self._worker_index).next_batch()
        except Exception as error:  # noqa: BLE001 - Bytewax would hide its message
            self._ends.fail(error)
        if batch is None:
            self.close()
            raise StopIteration
        return batch

    def close(self) -> None:
        self._ends.close(self._worker_index)


class _SinkPartition(StatelessSinkPartition["Batch[bytes | None]"]):
    def __init__(self, ends: Ends, worker_index: int) -> None:
        self._ends = ends
        self._worker_index = worker_index

    def write_batch(self, items: list[Batch[bytes | None]]) -> None:
        try:
            for batch in items:
                self._ends.session(self._worker_index).write(required(batch))
        except Exception as error:  # noqa: BLE001 - Bytewax would hide its message
            self._ends.fail(error)
            self._ends.close(self._worker_index)
