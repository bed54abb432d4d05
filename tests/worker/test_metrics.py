"""What a worker counts of what its transactions held."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from domination.exactly_once.ports import Committed
from domination.settings import Settings
from domination.shadow import ShadowType
from domination.worker.metrics import Metrics, WorkerMetrics
from domination.worker.throughput import ThroughputLog

if TYPE_CHECKING:
    import pytest


def test_values_are_counted_by_type_and_in_all_whether_they_have_a_kind_or_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    metrics = Metrics(Settings())
    logger = logging.getLogger("counted")
    counted = WorkerMetrics(metrics, Settings(), ThroughputLog(logger))
    kinds = [bytes([ShadowType.SHA, ShadowType.SHA])]
    counted.committed(Committed(9, kinds, {"tombstone": 1}, {"unwanted": 3}, [], 0.1))
    with caplog.at_level(logging.INFO, "counted"):
        counted.closed()
    assert caplog.messages == ["wrote 6 records in all"]

    def value(name: str, **labels: str) -> float | None:
        return metrics.registry.get_sample_value(f"domination_records_{name}_total", labels)

    assert value("produced", topic="shadow", type="Sha") == 2
    assert value("dead_lettered", reason="tombstone") == 1
    assert value("dropped", reason="unwanted") == 3
