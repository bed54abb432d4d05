"""What a process counts of its workers: a Prometheus registry, and each worker's part in it.

Records are counted when their transaction has committed, so that what is aborted and written again
counts once, as it does for a reader.
"""

from __future__ import annotations

import sys
import time
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
)

from domination import __version__
from domination.exactly_once.tally import SAMPLED
from domination.kafka.client import librdkafka_version
from domination.log import worker_logger
from domination.shadow import LABELS
from domination.worker.throughput import ThroughputLog

if TYPE_CHECKING:
    from collections.abc import Mapping

    from domination.exactly_once.ports import Committed, Lag
    from domination.settings import Settings

_DURATIONS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
_AGES: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200, 86400)


class Metrics:
    """The metrics of a process, one registry for all its Bytewax workers."""

    def __init__(self, settings: Settings) -> None:
        self.registry = registry = CollectorRegistry()
        self._settings = settings
        self.consumed = Counter(
            "domination_records_consumed",
            "Records read and committed.",
            ["topic"],
            registry=registry,
        )
        self.produced = Counter(
            "domination_records_produced",
            "Shadows written and committed.",
            ["topic", "type"],
            registry=registry,
        )
        self.dead_lettered = Counter(
            "domination_records_dead_lettered",
            "Dead letters written and committed.",
            ["reason"],
            registry=registry,
        )
        self.dropped = Counter(
            "domination_records_dropped",
            "Records dropped by a filter, and committed.",
            ["reason"],
            registry=registry,
        )
        self.transactions = Counter(
            "domination_transactions",
            "Transactions by outcome: committed, aborted, or unknown to the worker.",
            ["outcome"],
            registry=registry,
        )
        self.durations = Histogram(
            "domination_transaction_duration_seconds",
            "Time from the start of a transaction to its commit.",
            buckets=_DURATIONS,
            registry=registry,
        )
        self.ages = Histogram(
            "domination_record_age_seconds",
            "Time from a record's timestamp to its commit; "
            f"measured for the first and each {SAMPLED}th record of a poll.",
            buckets=_AGES,
            registry=registry,
        )
        self.lag = Gauge(
            "domination_consumer_lag_records",
            "Records of a partition that are not committed yet.",
            ["topic", "partition"],
            registry=registry,
        )
        self.lag_seconds = Gauge(
            "domination_consumer_lag_seconds",
            "How long the oldest record of a partition that is not committed has waited.",
            ["topic", "partition"],
            registry=registry,
        )
        self.rebalances = Counter(
            "domination_rebalances", "Changes of a worker's assignment.", registry=registry
        )
        self.last_commit = Gauge(
            "domination_last_commit_timestamp_seconds",
            "When a worker last committed, in seconds since 1970.",
            registry=registry,
        )
        ProcessCollector(registry=registry)
        Info("domination_build", "What runs.", registry=registry).info(_versions())
        # A series that starts with its first event hides that event from rate().
        self.consumed.labels(settings.input_topic)
        for label in LABELS:
            self.produced.labels(settings.output_topic, label)
        for outcome in ("committed", "aborted", "unknown"):
            self.transactions.labels(outcome)

    def worker(self, worker_index: int) -> WorkerMetrics:
        """Give one worker its part."""
        throughput = ThroughputLog(worker_logger(worker_index))
        return WorkerMetrics(self, self._settings, throughput)


class WorkerMetrics:
    """One worker's part: what it tells as the `Observer` of its session.

    `domination_records_produced` counts a shadow by its kind, a `ShadowType`; a value without a
    kind is not in it.
    """

    def __init__(self, metrics: Metrics, settings: Settings, throughput: ThroughputLog) -> None:
        self._metrics = metrics
        self._topics = settings.topics
        self._throughput = throughput
        self._lag: set[int] = set()

    def committed(self, committed: Committed) -> None:
        """Count what a transaction held."""
        now, metrics = time.time(), self._metrics
        metrics.transactions.labels("committed").inc()
        metrics.durations.observe(committed.seconds)
        metrics.last_commit.set(now)
        metrics.consumed.labels(self._topics[0]).inc(committed.records)
        for number, label in enumerate(LABELS):
            shadows = sum(types.count(number) for types in committed.kinds)
            metrics.produced.labels(self._topics[1], label).inc(shadows)
        for reason, count in committed.rejects.items():
            metrics.dead_lettered.labels(reason).inc(count)
        for reason, count in committed.dropped.items():
            metrics.dropped.labels(reason).inc(count)
        for timestamp in committed.timestamps:
            metrics.ages.observe(max(0.0, now - timestamp / 1000))
        dead_letters = sum(committed.rejects.values())
        self._throughput.count(committed.written, dead_letters)

    def ended(self, outcome: str) -> None:
        """Count a transaction that has not committed, or of which nobody knows."""
        self._metrics.transactions.labels(outcome).inc()

    def changed(self) -> None:
        """Count a change of the assignment."""
        self._metrics.rebalances.inc()

    def behind(self, lag: Mapping[int, Lag]) -> None:
        """Show the lag of each partition that this worker has, and of no other."""
        topic, metrics = self._topics[0], self._metrics
        for partition in self._lag - lag.keys():
            metrics.lag.remove(topic, str(partition))
            metrics.lag_seconds.remove(topic, str(partition))
        for partition, found in lag.items():
            metrics.lag.labels(topic, str(partition)).set(found.records)
            metrics.lag_seconds.labels(topic, str(partition)).set(found.seconds)
        self._lag = set(lag)
        self._throughput.report()

    def closed(self) -> None:
        """Say how much there was in all."""
        self._throughput.report(last=True)


def _versions() -> dict[str, str]:
    return {
        "version": __version__,
        "python": sys.version.split()[0],
        "bytewax": version("bytewax"),
        "librdkafka": librdkafka_version(),
    }
