"""The benchmarks measure what they say, and find what a contestant did wrong."""

from __future__ import annotations

import os
import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import Producer

from arena import Arena, Run, usage
from bench import rounds, row, table
from contestants import OURS, Contestant
from domination.shadow import ShadowType
from domination.shadows import encode
from harness.processes import WORKER

if TYPE_CHECKING:
    from pathlib import Path


def test_a_run_is_measured_and_every_record_of_it_validated(
    bootstrap_servers: str, tmp_path: Path
) -> None:
    arena = Arena(bootstrap_servers, tmp_path)
    load = arena.load(3_000, partitions=2, bad=0.1)
    assert 100 < load.bad < 600
    run = arena.run([list(WORKER)], load, 60, {})
    assert run.records == load.records == 3_000
    assert run.rate > 0
    assert run.memory > 10
    assert 0 < run.start < 60


@pytest.mark.parametrize("wrong", ["twice", "misjudged", "invented"])
def test_a_wrong_record_is_found(bootstrap_servers: str, tmp_path: Path, wrong: str) -> None:
    arena = Arena(bootstrap_servers, tmp_path)
    load = arena.load(3, partitions=1)
    environment = arena.environment(load)
    humans = list(load.types.items())
    if wrong == "twice":
        humans.append(humans[0])
    elif wrong == "misjudged":
        humans[0] = humans[0][0], (humans[0][1] + 1) % 4
    else:
        humans[0] = "nobody", humans[0][1]
    shadows = [(ShadowType(number), human) for human, number in humans]
    producer = Producer({"bootstrap.servers": bootstrap_servers})
    for value in encode(shadows, datetime.now(timezone.utc)):
        producer.produce(environment["DOMINATION_OUTPUT_TOPIC"], value)
    assert producer.flush(30) == 0
    with pytest.raises(AssertionError, match="twice or misjudged"):
        arena.validated(environment, load)


def test_usage_is_what_the_kernel_accounts() -> None:
    before = usage(os.getpid())
    started = time.process_time()
    while time.process_time() < started + 0.1:
        pass
    used = usage(os.getpid()).cpu - before.cpu
    assert 0.05 < used < 5
    assert usage(os.getpid()).memory > 10


def test_who_fails_is_named_with_the_reason_and_the_others_go_on() -> None:
    other = OURS._replace(name="Other")
    absent = OURS._replace(name="Absent", missing="no compiler")

    def measure(contestant: Contestant) -> Run:
        assert contestant is OURS, "it lost a record"
        return Run(10, 1.0, 1.0, 1.0, 1.0, 1.0)

    runs, reasons = rounds(2, [OURS, other, absent], measure)
    assert len(runs[OURS.name]) == 2
    assert reasons.keys() == {"Other", "Absent"}
    assert "it lost a record" in reasons["Other"]


def test_the_table_has_medians_and_names_who_could_not_run() -> None:
    runs = [Run(10, rate, 2 * rate, 1.0, 3.0, 50.0) for rate in (100.0, 300.0, 200.0)]
    slow = [run._replace(rate=run.rate / 4) for run in runs]
    other = OURS._replace(name="Other", version="1")
    absent = OURS._replace(name="Absent", missing="no compiler")
    rows = {OURS.name: row(runs, runs), "Other": row(slow, runs)}
    told = table([OURS, other, absent], rows, {"Absent": "not run: no compiler"})
    assert "| 200 | 100, 300 | 400 | 1.00 (1.00) | 3.00 | 50 | 1.0 s |" in told
    assert "| Other | 1 | exactly once | 50 | 25, 75 | 400 | 4.00 (1.00) |" in told
    assert "not run: no compiler" in told
