-- Writes all other records to shadow_broken.
CREATE MATERIALIZED VIEW IF NOT EXISTS shadow_broken_rows TO shadow_broken
AS SELECT
    kafka_topic,
    kafka_partition,
    kafka_offset,
    kafka_timestamp,
    raw,
    error,
    record_hash
FROM shadow_inbox
WHERE error != ''
SETTINGS limit = 0, offset = 0
