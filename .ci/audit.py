"""Ask OSV whether a locked dependency has a known vulnerability: 1 if so, 0 if none or no answer.

python .ci/audit.py requirements.lock …

pip-audit 2.10.1 does not do this. Where it does not reach OSV it ends with a traceback and 1. Where
PyPI does not tell of a package it ends with 0 and "No known vulnerabilities found".
"""

from __future__ import annotations

import http.client
import json
import os
import re
import sys
import urllib.request
from pathlib import Path
from typing import Any

_URL = os.environ.get("OSV_URL", "https://api.osv.dev")
_SECONDS = 20
_PIN = re.compile(r"^([\w.-]+)(?:\[[^]]*\])?==([^\s;\\]+)", re.MULTILINE)


def main(locks: list[str]) -> int:
    """Print each vulnerability of what the locks pin; without an answer say that it was skipped."""
    pins = sorted({pin for lock in locks for pin in _PIN.findall(Path(lock).read_text())})
    try:
        found = [(pin, each["id"]) for pin, ids in _asked(pins) for each in ids]
    except (OSError, http.client.HTTPException, ValueError, TypeError, KeyError) as error:
        print(f"audit SKIPPED: no answer from {_URL} ({error}); nothing was looked at")
        return 0
    for (name, version), vulnerability in found:
        print(f"{name} {version}: {_URL}/v1/vulns/{vulnerability}")
    print(f"audit: {len(found)} known vulnerabilities in {len(pins)} packages")
    return 1 if found else 0


def _asked(pins: list[tuple[str, str]]) -> list[tuple[tuple[str, str], list[dict[str, Any]]]]:
    queries = [
        {"package": {"name": name, "ecosystem": "PyPI"}, "version": version}
        for name, version in pins
    ]
    request = urllib.request.Request(
        f"{_URL}/v1/querybatch",
        json.dumps({"queries": queries}).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=_SECONDS) as answer:
        results = json.load(answer)["results"]
    return [(pin, each.get("vulns", [])) for pin, each in zip(pins, results, strict=True)]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
