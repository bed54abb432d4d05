-- What is in the topic but is no shadow: whole, with its coordinates and the reason. Only another
-- program than the worker can have written it. A record read again is the same row, as in shadow.
CREATE TABLE IF NOT EXISTS shadow_broken
(
    kafka_topic LowCardinality(String),
    kafka_partition UInt32,
    kafka_offset UInt64,
    kafka_timestamp DateTime64(3, 'UTC'),
    raw String,
    error LowCardinality(String)
)
ENGINE = ReplacingMergeTree
ORDER BY (kafka_topic, kafka_partition, kafka_offset)
