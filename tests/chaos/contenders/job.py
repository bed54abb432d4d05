"""The job that every contender is given: ratings of one topic become shadows in another."""

from __future__ import annotations

import os
import tempfile
from datetime import datetime, timezone
from typing import Final

import orjson

from domination.shadow import judge

BROKERS: Final = os.environ["DOMINATION_KAFKA_BOOTSTRAP_SERVERS"]
RATINGS: Final = os.environ["DOMINATION_INPUT_TOPIC"]
SHADOWS: Final = os.environ["DOMINATION_OUTPUT_TOPIC"]
GROUP: Final = os.environ["DOMINATION_GROUP"]
SESSION_SECONDS: Final = int(os.environ["DOMINATION_KAFKA_SESSION_TIMEOUT_MS"]) // 1000
COMMIT_SECONDS: Final = float(os.environ.get("DOMINATION_COMMIT_INTERVAL_SECONDS", "0.1"))
KEPT: Final = tempfile.mkdtemp()
"""A directory for what a worker keeps by itself: this job has no state."""


def shadow(value: bytes) -> bytes:
    """Make the shadow of one good rating, as `domination worker` writes it."""
    human = orjson.loads(value)
    now = datetime.now(timezone.utc)
    fields = {
        "type": int(judge(human["rating"])),
        "unique_id": human["unique_id"],
        "emit_timestamp": now.isoformat(" ", "milliseconds")[:23],
    }
    return orjson.dumps(fields)
