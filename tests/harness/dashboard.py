"""What the dashboards of Grafana ask for, its variables filled in."""

from __future__ import annotations

import json
from typing import Any, Final

from harness.processes import ROOT

GRAFANA: Final = ROOT / "deploy" / "grafana"
_FILLED: Final = {"$job": ".+", "$instance": ".+", "$__rate_interval": "1m"}


def dashboard(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((GRAFANA / f"{name}.json").read_text())
    return found


def targets(name: str) -> list[dict[str, Any]]:
    """Give the questions of all panels of a dashboard."""
    return [target for panel in dashboard(name)["panels"] for target in panel["targets"]]


def expressions() -> list[str]:
    """Give the questions to Prometheus, as Grafana asks them."""
    found = [each["expr"] for each in targets("domination")]
    for name, value in _FILLED.items():
        found = [each.replace(name, value) for each in found]
    return found
