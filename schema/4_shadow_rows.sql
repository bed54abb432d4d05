-- Writes shadows to shadow.
CREATE MATERIALIZED VIEW IF NOT EXISTS shadow_rows TO shadow
AS SELECT
    CAST(type AS Enum8('Incompatible' = 0, 'Sha' = 1, 'Dow' = 2, 'ShaDow' = 3)) AS type,
    unique_id,
    emit_timestamp,
    kafka_partition,
    kafka_offset,
    record_hash
FROM shadow_inbox
WHERE error = ''
SETTINGS limit = 0, offset = 0
