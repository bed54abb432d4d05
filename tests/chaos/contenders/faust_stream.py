"""Faust, exactly once: its offsets are committed in the transaction of its records.

It has a transaction for each partition: that of a rating's offset is that of its shadow only if the
shadow goes to the partition of the same number. So it is sent there.
"""

from __future__ import annotations

import os
from typing import Any

import faust

import job

app = faust.App(
    job.GROUP,
    broker=f"kafka://{job.BROKERS}",
    processing_guarantee=os.environ.get("FAUST_GUARANTEE", "exactly_once"),
    broker_commit_interval=job.COMMIT_SECONDS,
    broker_session_timeout=job.SESSION_SECONDS,
    broker_heartbeat_interval=job.SESSION_SECONDS / 4,
    consumer_auto_offset_reset="earliest",
    datadir=job.KEPT,
    topic_allow_declare=False,
    topic_disable_leader=True,
    web_enabled=False,
)
raw = {"key_type": bytes, "key_serializer": "raw", "value_type": bytes, "value_serializer": "raw"}
ratings = app.topic(job.RATINGS, **raw)
shadows = app.topic(job.SHADOWS, **raw)


@app.agent(ratings)  # type: ignore[untyped-decorator]  # mypy does not see the package
async def judge(stream: Any) -> None:
    async for event in stream.events():
        shadow = job.shadow(event.value)
        await shadows.send(key=event.key, value=shadow, partition=event.message.partition)


if __name__ == "__main__":
    app.main()
