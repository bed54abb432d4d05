"""The comparison with others: what is found is told, and only what is ours fails."""

from __future__ import annotations

import re

import pytest

import rivals
from contender import CONTENDERS, OURS, Contender
from pipeline import ROOT
from trial import ANOMALIES, Result

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


def test_ours_has_to_run() -> None:
    assert rivals.failed([result(OURS.name)._replace(started=False)])


@pytest.mark.parametrize("contender", CONTENDERS[1:], ids=lambda each: str(each.package))
def test_the_docs_have_the_version_that_is_installed(contender: Contender) -> None:
    folder = ROOT / "tests" / "contenders"
    pins = "".join(path.read_text() for path in sorted(folder.glob("*.txt")))
    version = re.search(rf"^{contender.package}==(\S+)", pins, re.MULTILINE)
    assert version
    assert f"| {contender.name} {version[1]} |" in DOCS
