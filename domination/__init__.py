"""Domination: a stream of human ratings becomes a stream of shadows, exactly once.

    HumanRatings            humans.py makes them, produce.py sends them
        │
        v
    topic dominate          {"rating": 7, "unique_id": "…"}
        │
        v
    worker                  flow.py: read (ratings.py), judge (shadow.py), write (shadows.py);
        │   │               exactly_once/ has its two ends, worker/ the process
        │   └──> topic dominate.dead-letter
        │                   the record whole, and why; dead_letters.py shows it and sends it back
        v
    topic shadow            {"type": 1, "unique_id": "…", "emit_timestamp": "…"}
        │
        v
    shadow_stream           schema/6_shadow_stream.sql: ClickHouse reads the topic
        │
        v
    shadow_consumer         schema/7_shadow_consumer.sql: each record is a shadow, or broken
        │
        v
    shadow                  schema/1_shadow.sql: rows, each once

clickhouse/ makes the tables and asks them. kafka/ has what any Kafka program needs. monitor/ and
demo/ show all of it, and cli/ has the commands.
"""

from domination.shadow import ShadowType, judge

__all__ = ["ShadowType", "__version__", "judge"]

__version__ = "2.0.0.dev0"
