-- What is in the topic but is no shadow: whole, with its coordinates and the reason. Only another
-- program than the worker can have written it. A record read again is the same row, as in shadow. It
-- goes some days after it came, by ClickHouse's clock: a record's own timestamp is its writer's.
CREATE TABLE IF NOT EXISTS shadow_broken
(
    kafka_topic LowCardinality(String),
    kafka_partition UInt32,
    kafka_offset UInt64,
    kafka_timestamp DateTime64(3, 'UTC'),
    raw String,
    error LowCardinality(String),
    received DateTime('UTC') DEFAULT now(),
    record_hash UInt32
)
ENGINE = ReplacingMergeTree
PRIMARY KEY (kafka_topic, kafka_partition, kafka_offset)
ORDER BY (kafka_topic, kafka_partition, kafka_offset, record_hash)
TTL received + toIntervalDay($broken_ttl_days)
