-- Records of the topic that are not shadows: whole, with coordinates and reason. Only another program
-- than the worker can have written them. A record that is read again is the same row, as in shadow.
-- ClickHouse deletes a row some days after it arrived, by its own clock: the writer of a record
-- chooses the record's timestamp.
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
ORDER BY (kafka_topic, kafka_partition, kafka_offset, record_hash)$broken_ttl
