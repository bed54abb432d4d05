-- Stores nothing: each record passes through it into one of the two tables. The view that fills it
-- (7) is created last, so that nothing is read before both tables exist.
CREATE TABLE IF NOT EXISTS shadow_inbox
(
    type Int64,
    unique_id String,
    emit_timestamp DateTime64(3, 'UTC'),
    kafka_topic LowCardinality(String),
    kafka_partition UInt32,
    kafka_offset UInt64,
    kafka_timestamp DateTime64(3, 'UTC'),
    raw String,
    error LowCardinality(String),
    record_hash UInt32
)
ENGINE = Null
