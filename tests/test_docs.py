"""The documents say what the code does."""

from __future__ import annotations

import subprocess
import sys

from pipeline import CLEAN, ROOT

PAGE = ROOT / "docs" / "cli.md"


def test_the_page_of_the_commands_is_that_of_the_code() -> None:
    made = [sys.executable, "-c", "import cli; print(cli.page(), end='')"]
    environment = CLEAN | {"PYTHONPATH": str(ROOT / "docs")}
    page = subprocess.run(made, env=environment, check=True, capture_output=True, text=True)
    assert page.stdout == PAGE.read_text(), "make docs"
