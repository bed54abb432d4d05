-- One row for each shadow. ClickHouse reads from Kafka at least once. A record that is read again has
-- the same sorting key, so it is the same row. Query with FINAL: it counts such a row once, even
-- before the rows are merged. A topic that was created again has other records at the same offsets:
-- the hash distinguishes them.
-- The table has no partitions. ClickHouse refuses a block of rows with more than a hundred of them,
-- and the stream would read that block again for ever. A replay of ten years has 120 months.
-- A row's retention, if there is any, counts from its arrival by ClickHouse's own clock: who writes a
-- shadow chooses its time.
CREATE TABLE IF NOT EXISTS shadow
(
    type Enum8('Incompatible' = 0, 'Sha' = 1, 'Dow' = 2, 'ShaDow' = 3),
    unique_id String,
    emit_timestamp DateTime64(3, 'UTC'),
    kafka_partition UInt32,
    kafka_offset UInt64,
    received DateTime('UTC') DEFAULT now(),
    record_hash UInt32
)
ENGINE = ReplacingMergeTree
PRIMARY KEY (emit_timestamp, kafka_partition, kafka_offset)
ORDER BY (emit_timestamp, kafka_partition, kafka_offset, record_hash)$ttl
