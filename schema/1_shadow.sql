-- The judged humans, a row each. ClickHouse reads from Kafka at least once: a record read again has
-- the same sorting key and is the same row. Ask with FINAL, which counts it once before it is merged.
-- A topic that is made again has other records at the same offsets: the hash tells them apart.
-- It has no partitions: ClickHouse refuses a block of rows of more than a hundred, and the stream
-- would read that block again for ever. A replay of ten years has 120 months.
CREATE TABLE IF NOT EXISTS shadow
(
    type Enum8('Incompatible' = 0, 'Sha' = 1, 'Dow' = 2, 'ShaDow' = 3),
    unique_id String,
    emit_timestamp DateTime64(3, 'UTC'),
    kafka_partition UInt32,
    kafka_offset UInt64,
    record_hash UInt32
)
ENGINE = ReplacingMergeTree
PRIMARY KEY (emit_timestamp, kafka_partition, kafka_offset)
ORDER BY (emit_timestamp, kafka_partition, kafka_offset, record_hash)
