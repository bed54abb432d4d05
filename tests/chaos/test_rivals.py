"""The comparison with others: what is found is told, and only what is ours fails."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import rivals
from harness import late, streams
from harness.contender import CONTENDERS, OURS, Contender
from harness.kafka_frames import Request
from harness.kafka_proxy import KafkaProxy
from harness.processes import ROOT
from harness.trial import ANOMALIES, Result

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCS = (ROOT / "docs" / "reliability.md").read_text()


def result(contender: str, seed: int = 1, **counts: int) -> Result:
    none = dict.fromkeys(ANOMALIES, 0)
    return Result(contender, "storm", seed, 10_000, none | counts, {}, 1.0 * seed, {})


def test_a_table_sums_over_seeds_and_has_the_slowest_shadow() -> None:
    results = [
        *(result(OURS.name), result(OURS.name, 2), result("Other", lost=1_000)),
        *(result("Other", 2, lost=200, duplicated=3), result("Third")._replace(started=False)),
    ]
    versions = {OURS.name: "2.0", "Other": "1.0", "Third": "0.1"}
    assert rivals.table(results, versions).splitlines()[2:] == [
        f"| {OURS.name} 2.0 | none (2 s) |",
        "| Other 1.0 | 1,200 lost, 3 duplicated (2 s) |",
        "| Third 0.1 | does not run |",
    ]


@pytest.mark.parametrize("anomaly", ANOMALIES)
def test_only_an_anomaly_of_ours_fails(anomaly: str) -> None:
    assert rivals.failed([result(OURS.name, **{anomaly: 1}), result("Other")])
    assert not rivals.failed([result(OURS.name), result("Other", **{anomaly: 1})])


def test_ours_has_to_run_and_to_go_on() -> None:
    assert rivals.failed([result(OURS.name)._replace(started=False)])
    assert rivals.failed([result(OURS.name)._replace(stood_still=True)])


def test_who_stood_still_is_told() -> None:
    results = [result("Other", lost=1)._replace(stood_still=True), result("Other", 2)]
    assert rivals.cell(results) == "1 lost, stood still (2 s)"


def test_a_late_request_comes_when_the_next_transaction_of_its_producer_is_open(
    requests: list[Request], proxy: KafkaProxy
) -> None:
    held = late.Round(proxy, late.COMMIT, "stall")
    for number, request in enumerate(requests):
        assert held.next_sign() is None
        request.error = 0
        proxy.catch(request, b"", None)  # type: ignore[arg-type]  # nothing is cut
        assert held.first is (requests[1] if number else None)
    assert held.next_sign() is requests[-1]


@pytest.fixture
def proxy() -> Iterator[KafkaProxy]:
    proxy = KafkaProxy("127.0.0.1:9")
    yield proxy
    proxy.close()


@pytest.fixture
def requests() -> list[Request]:
    """Give those of two producers: an abort, a commit, its second copy, and what comes next."""
    names = ("EndTxn", 0), ("EndTxn", 1), ("EndTxn", 0), ("EndTxn", 1), ("Produce", 0)
    made = [
        Request(name, 0, flexible=False, transactional_id="", committed=True, producer=producer)
        for name, producer in (*names, ("Produce", 1))
    ]
    made[0].committed = False
    return made


def test_what_became_of_late_requests_is_told_by_kind_over_seeds() -> None:
    commit = late.Delivery(
        late.COMMIT, "rst", late.RECORDS, 0.0, 1, 0, mid_transaction=True, error=47
    )
    first = [commit, replace(commit, error=0), replace(commit, kind="Produce", error=48)]
    second = [commit, replace(commit, mid_transaction=False)]
    results = [
        result("Other")._replace(scenario=late.NAME, late=first),
        result("Other", 2)._replace(scenario=late.NAME, late=second),
        result("Third")._replace(scenario=late.NAME),
    ]
    assert late.table(results).splitlines() == [
        f"| late requests | {late.COMMIT} | Produce |",
        "| --- | --- | --- |",
        "| Other | 3 fenced, 1 accepted (1 outside a transaction) | 1 refused with 48 |",
        "| Third |  |  |",
    ]


def test_versions_and_epochs_on_the_wire_are_told() -> None:
    def commit(epoch: int) -> Request:
        return Request("EndTxn", 0, True, "id", True, version=5, producer=1, epoch=epoch)  # noqa: FBT003

    told = late.on_the_wire(
        [commit(0), commit(0), commit(1), Request("Metadata", 0, flexible=True)]
    )
    assert told == {"EndTxn": "v5: 3 in 2 epochs of 1 producers"}


@pytest.mark.parametrize("contender", CONTENDERS[1:], ids=lambda each: str(each.package))
def test_the_docs_have_the_version_that_is_installed(contender: Contender) -> None:
    assert f"| {contender.name} {pinned(contender)} |" in DOCS


def pinned(contender: Contender) -> str:
    """Give its version as the file has it that it is installed from."""
    if contender.package == "kafka-streams":
        return streams.version()
    own = ROOT / "tests" / "chaos" / "contenders" / f"{Path(contender.program).parts[-3]}.txt"
    pins = (own if own.exists() else ROOT / "requirements-dev.lock").read_text()
    version = re.search(rf"^{contender.package}==(\S+)", pins, re.MULTILINE)
    assert version
    return version[1]
