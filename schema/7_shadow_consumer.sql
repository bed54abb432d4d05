-- Reads the records. One is a shadow if it is one JSON object, each field is of its type, and its
-- time reads back as it was written: toDateTime64OrNull takes a month 13 for a date of 1900.
CREATE MATERIALIZED VIEW IF NOT EXISTS shadow_consumer TO shadow_inbox
AS WITH
    JSONExtract(raw, 'Tuple(type Nullable(Int64), unique_id Nullable(String), emit_timestamp Nullable(String))') AS record,
    toDateTime64OrNull(record.emit_timestamp, 3, 'UTC') AS time
SELECT
    ifNull(record.type, 0) AS type,
    ifNull(record.unique_id, '') AS unique_id,
    ifNull(time, toDateTime64(0, 3, 'UTC')) AS emit_timestamp,
    _topic AS kafka_topic,
    _partition AS kafka_partition,
    _offset AS kafka_offset,
    ifNull(_timestamp_ms, toDateTime64(0, 3, 'UTC')) AS kafka_timestamp,
    raw,
    multiIf(
        NOT isValidJSON(raw), 'not one JSON value',
        JSONType(raw) != 'Object', 'not an object',
        JSONType(raw, 'type') != 'Int64' OR record.type NOT BETWEEN 0 AND 3, 'type is not 0, 1, 2 or 3',
        JSONType(raw, 'unique_id') != 'String' OR unique_id = '', 'unique_id is not a non-empty string',
        JSONType(raw, 'emit_timestamp') != 'String' OR length(record.emit_timestamp) < 19
            OR ifNull(NOT startsWith(toString(time), record.emit_timestamp), 1),
        'emit_timestamp is not YYYY-MM-DD hh:mm:ss.mmm',
        ''
    ) AS error
FROM shadow_stream
