"""How Kafka Streams is started, here and in the benchmarks: `make .rivals/streams/.done` first."""

from __future__ import annotations

import re
from typing import Final

from harness.processes import ROOT

HOME: Final = ROOT / ".rivals" / "streams"
POM: Final = ROOT / "benchmarks" / "contestants" / "pom.xml"


def arguments(heap: str, settings: dict[str, str]) -> tuple[str, ...]:
    """Give the arguments of java."""
    return (
        *(f"-Xmx{heap}", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"),
        *("-cp", f"{HOME}/*:{HOME}/classes", "Shadows"),
        *(f"{key}={value}" for key, value in settings.items()),
    )


def version() -> str:
    """Tell which version the POM asks for."""
    found = re.search(r"<artifactId>kafka-streams</artifactId>\s*<version>(.+)</", POM.read_text())
    assert found
    return found[1]
