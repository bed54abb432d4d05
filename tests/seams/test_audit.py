"""The audit of dependencies fails for what it finds, and never for want of an answer."""

from __future__ import annotations

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from harness.processes import ROOT, run

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path


def audit(answer: object, lock: Path) -> tuple[list[Any], subprocess.CompletedProcess[str]]:
    """Audit a lock against a service that gives this answer; give what it was asked as well."""
    asked: list[Any] = []

    class Service(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            asked.extend(json.loads(self.rfile.read(length))["queries"])
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

    lock.write_text("a-b==1.0 \\\n    --hash=sha256:00\nc==2 ; python_version < '3.11' \\\n")
    server = HTTPServer(("127.0.0.1", 0), Service)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        return asked, _run(f"http://127.0.0.1:{server.server_port}", lock)
    finally:
        server.shutdown()
        server.server_close()


def _run(url: str, lock: Path) -> subprocess.CompletedProcess[str]:
    script = str(ROOT / ".ci" / "audit.py")
    return run(sys.executable, script, str(lock), environment={"OSV_URL": url})


def test_every_pin_of_a_lock_is_asked_for(tmp_path: Path) -> None:
    asked, ended = audit({"results": [{}, {}]}, tmp_path / "lock")
    assert [(each["package"]["name"], each["version"]) for each in asked] == [
        ("a-b", "1.0"),
        ("c", "2"),
    ]
    assert ended.returncode == 0, ended.stderr
    assert "0 known vulnerabilities in 2 packages" in ended.stdout


def test_a_known_vulnerability_fails_and_is_named(tmp_path: Path) -> None:
    _, ended = audit({"results": [{}, {"vulns": [{"id": "PYSEC-1"}]}]}, tmp_path / "lock")
    assert ended.returncode == 1
    assert "c 2: " in ended.stdout
    assert "PYSEC-1" in ended.stdout


@pytest.mark.parametrize("answer", [None, "no results", {"results": []}])
def test_without_a_full_answer_the_audit_says_that_it_was_skipped(
    tmp_path: Path, answer: object
) -> None:
    lock = tmp_path / "lock"
    lock.write_text("c==2\n")
    ended = audit(answer, lock)[1] if answer else _run("http://127.0.0.1:1", lock)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("audit SKIPPED")
