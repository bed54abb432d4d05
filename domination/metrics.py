"""What a process counts of its workers: a Prometheus registry, and each worker's part in it.

Records are counted when their transaction has committed, so that what is aborted and written again
counts once, as it does for a reader.
"""

from __future__ import annotations

import sys
import time
from collections import Counter as Tally
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info

from domination import __version__
from domination.shadow import LABELS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from domination.settings import Settings

_DURATIONS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
_AGES: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200, 86400)
SAMPLED: Final = 50
"""Of the records of a poll the first and then each so many-th is asked for its age."""


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
        self.transactions = Counter(
            "domination_transactions",
            "Transactions by outcome: committed, aborted, or unknown to the worker.",
            ["outcome"],
            registry=registry,
        )
        self.durations = Histogram(
            "domination_transaction_duration_seconds",
            "From the begin of a transaction to its commit.",
            buckets=_DURATIONS,
            registry=registry,
        )
        self.ages = Histogram(
            "domination_record_age_seconds",
            f"From a record's timestamp to its commit; of a poll the first and each {SAMPLED}th.",
            buckets=_AGES,
            registry=registry,
        )
        self.lag = Gauge(
            "domination_consumer_lag_records",
            "Records of a partition that are not read yet, as of the last fetch.",
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
        Info("domination_build", "What runs.", registry=registry).info(
            {"version": __version__, "python": sys.version.split()[0]}
        )
        # A series that starts with its first event hides that event from rate().
        self.consumed.labels(settings.input_topic)
        for label in LABELS:
            self.produced.labels(settings.output_topic, label)
        for outcome in ("committed", "aborted", "unknown"):
            self.transactions.labels(outcome)

    def worker(self) -> WorkerMetrics:
        """Give one worker its part."""
        return WorkerMetrics(self, self._settings)


class WorkerMetrics:
    """What one worker's transaction holds until it ends, and then counts."""

    def __init__(self, metrics: Metrics, settings: Settings) -> None:
        self._metrics = metrics
        self._topics = settings.topics
        self._lag: set[int] = set()
        self.began()

    def began(self) -> None:
        """Note that a transaction opens; what was noted of one that did not commit is forgotten."""
        self._started = time.monotonic()
        self._consumed = 0
        self._types = [0] * len(LABELS)
        self._reasons: Tally[str] = Tally()
        self._timestamps: list[int] = []

    def read(self, records: int, timestamps: Sequence[int]) -> None:
        """Note a batch, and when some of its records were made, in milliseconds since 1970."""
        self._consumed += records
        self._timestamps += timestamps

    def wrote(self, types: bytes, reasons: Mapping[str, int]) -> None:
        """Note what a batch became: a byte for each shadow's type, dead letters by reason."""
        for number in range(len(LABELS)):
            self._types[number] += types.count(number)
        self._reasons.update(reasons)

    def committed(self) -> None:
        """Count what has been noted."""
        now, metrics = time.time(), self._metrics
        metrics.transactions.labels("committed").inc()
        metrics.durations.observe(time.monotonic() - self._started)
        metrics.last_commit.set(now)
        metrics.consumed.labels(self._topics[0]).inc(self._consumed)
        for label, count in zip(LABELS, self._types, strict=True):
            metrics.produced.labels(self._topics[1], label).inc(count)
        for reason, count in self._reasons.items():
            metrics.dead_lettered.labels(reason).inc(count)
        for timestamp in self._timestamps:
            metrics.ages.observe(max(0.0, now - timestamp / 1000))
        self.began()

    def ended(self, outcome: str) -> None:
        """Count a transaction that has not committed, or of which nobody knows, if one was open."""
        if self._consumed:
            self._metrics.transactions.labels(outcome).inc()
        self.began()

    def rebalanced(self) -> None:
        """Count a change of the assignment."""
        self._metrics.rebalances.inc()

    def behind(self, lag: Mapping[int, int]) -> None:
        """Show the lag of each partition that this worker has, and of no other."""
        topic = self._topics[0]
        for partition in self._lag - lag.keys():
            self._metrics.lag.remove(topic, str(partition))
        for partition, records in lag.items():
            self._metrics.lag.labels(topic, str(partition)).set(records)
        self._lag = set(lag)
