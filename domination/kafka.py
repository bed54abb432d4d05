"""The two ends of the dataflow on Kafka: exactly once from the input topic to the output topic.

A `KafkaSource` and a `KafkaSink` made from the same `Ends` share one `Session` for each Bytewax
worker, since a transaction holds both what was written and how far was read.
"""

from __future__ import annotations

import gc
import threading
from typing import TYPE_CHECKING

from bytewax.inputs import DynamicSource, StatelessSourcePartition
from bytewax.outputs import DynamicSink, StatelessSinkPartition

from domination import log
from domination.errors import exit_on_error
from domination.exactly_once.batch import Outcome, Records
from domination.http import Http
from domination.lifecycle import Lifecycle, refuse_open_door
from domination.metrics import Metrics
from domination.session import Session
from domination.settings import from_environment

if TYPE_CHECKING:
    from domination.settings import Settings


class Ends:
    """What the source and the sink of one process share: a session for each worker index."""

    def __init__(self, settings: Settings, lifecycle: Lifecycle) -> None:
        # A poll makes some ten thousand objects and frees them all by their counts: looking for
        # cycles among them at the default rate took a tenth of the time.
        gc.set_threshold(100_000, 50, 50)
        self._settings = settings
        self._sessions: dict[int, Session] = {}
        self._metrics = Metrics(settings)
        self._http: Http | None = None
        self._lock = threading.Lock()
        self.lifecycle = lifecycle

    def session(self, worker_index: int) -> Session:
        """Give the session of a worker of this process; each worker runs on a thread of its own."""
        if worker_index not in self._sessions:
            with self._lock:
                # Not before: whoever only looks at the dataflow does not listen.
                if self._settings.http and not self._http:
                    self._http = Http(self._settings, self.lifecycle, self._metrics, self._sessions)
                self._sessions[worker_index] = Session(
                    self._settings, self.lifecycle, worker_index, self._metrics.worker()
                )
        return self._sessions[worker_index]

    def close(self, worker_index: int) -> None:
        """Close the session of a worker, if it came so far as to have one."""
        if worker_index not in self._sessions:
            return
        try:
            self._sessions[worker_index].close()
        except Exception as error:  # noqa: BLE001 - Bytewax would hide its message
            self.lifecycle.fail(error)


class KafkaSource(DynamicSource[Records]):
    """Ratings from the input topic, one batch of records a poll.

    Unit of parallelism: a Bytewax worker is one member of the consumer group. Guarantee: exactly
    once with a `KafkaSink` of the same `Ends`. Void when a step between them drops a batch, splits
    it, or moves it to another worker.
    """

    def __init__(self, ends: Ends) -> None:
        self._ends = ends

    def build(self, _step_id: str, worker_index: int, _worker_count: int) -> _SourcePartition:
        """Make one worker's end; it connects with its first poll."""
        return _SourcePartition(self._ends, worker_index)


class KafkaSink(DynamicSink[Outcome]):
    """Shadows to the output topic and rejects to the dead-letter topic, in transactions.

    Unit of parallelism: a Bytewax worker is one transactional producer. Guarantee: a read_committed
    reader sees the outcome of each input record once. Void for readers that read uncommitted.
    """

    def __init__(self, ends: Ends) -> None:
        self._ends = ends

    def build(self, _step_id: str, worker_index: int, _worker_count: int) -> _SinkPartition:
        """Make one worker's end."""
        return _SinkPartition(self._ends, worker_index)


def ends_from_environment() -> tuple[KafkaSource, KafkaSink]:
    """Make the two ends of a dataflow that `python -m bytewax.run` runs in this process.

    The environment has the settings; SIGTERM and Ctrl-C drain it; it ends with the exit codes of a
    worker. Call it once, on the main thread. It connects to nothing.
    """
    with exit_on_error():
        refuse_open_door()
        settings = from_environment()
    log.configure(settings)
    lifecycle = Lifecycle()
    lifecycle.stop_on_signals()
    lifecycle.exit_with_code()
    ends = Ends(settings, lifecycle)
    return KafkaSource(ends), KafkaSink(ends)


class _SourcePartition(StatelessSourcePartition[Records]):
    def __init__(self, ends: Ends, worker_index: int) -> None:
        self._ends = ends
        self._worker_index = worker_index

    def next_batch(self) -> list[Records]:
        batch = None
        try:
            batch = self._ends.session(self._worker_index).next_batch()
        except Exception as error:  # noqa: BLE001 - Bytewax would hide its message
            self._ends.lifecycle.fail(error)
        if batch is None:
            self.close()
            raise StopIteration
        return batch

    def close(self) -> None:
        self._ends.close(self._worker_index)


class _SinkPartition(StatelessSinkPartition[Outcome]):
    def __init__(self, ends: Ends, worker_index: int) -> None:
        self._ends = ends
        self._worker_index = worker_index

    def write_batch(self, items: list[Outcome]) -> None:
        try:
            for written in items:
                self._ends.session(self._worker_index).write(written)
        except Exception as error:  # noqa: BLE001 - Bytewax would hide its message
            self._ends.lifecycle.fail(error)
            self._ends.close(self._worker_index)
