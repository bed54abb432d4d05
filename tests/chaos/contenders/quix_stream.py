"""Quix Streams, exactly once: its offsets are committed in the transaction of its records."""

from __future__ import annotations

from quixstreams import Application

import job

app = Application(
    broker_address=job.BROKERS,
    consumer_group=job.GROUP,
    processing_guarantee="exactly-once",
    commit_interval=job.COMMIT_SECONDS,
    auto_offset_reset="earliest",
    auto_create_topics=False,
    state_dir=job.KEPT,
    consumer_poll_timeout=job.COMMIT_SECONDS,
    consumer_extra_config={"session.timeout.ms": job.SESSION_SECONDS * 1000},
    # As ours: after it a reader need not wait for a worker that was killed.
    producer_extra_config={"transaction.timeout.ms": 10_000},
)
ratings = app.topic(job.RATINGS, value_deserializer="bytes", key_deserializer="bytes")
shadows = app.topic(job.SHADOWS, value_serializer="bytes", key_serializer="bytes")
app.dataframe(ratings).apply(job.shadow).to_topic(shadows)

if __name__ == "__main__":
    app.run()
