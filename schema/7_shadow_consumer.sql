-- Parses the records. A record is a shadow if it is one JSON object, each field has its type, and its
-- time reads back as it was written (toDateTime64OrNull takes a month 13 for a date of 1900).
-- The settings override the server's profile, which could stop the view, drop rows, or break good
-- shadows.
CREATE MATERIALIZED VIEW IF NOT EXISTS shadow_consumer TO shadow_inbox
AS WITH
    JSONExtract(raw, 'Tuple(type Nullable(Int64), unique_id Nullable(String), emit_timestamp Nullable(String))') AS record,
    tupleElement(record, 'type') AS kind,
    tupleElement(record, 'unique_id') AS id,
    tupleElement(record, 'emit_timestamp') AS stamp,
    toDateTime64OrNull(stamp, 3, 'UTC') AS time
SELECT
    ifNull(kind, 0) AS type,
    ifNull(id, '') AS unique_id,
    ifNull(time, toDateTime64(0, 3, 'UTC')) AS emit_timestamp,
    _topic AS kafka_topic,
    _partition AS kafka_partition,
    _offset AS kafka_offset,
    ifNull(_timestamp_ms, toDateTime64(0, 3, 'UTC')) AS kafka_timestamp,
    raw,
    multiIf(
        NOT isValidJSON(raw), 'not one JSON value',
        JSONType(raw) != 'Object', 'not an object',
        JSONType(raw, 'type') != 'Int64' OR kind NOT BETWEEN 0 AND 3, 'type is not 0, 1, 2 or 3',
        JSONType(raw, 'unique_id') != 'String' OR ifNull(id, '') = '', 'unique_id is not a non-empty string',
        JSONType(raw, 'emit_timestamp') != 'String' OR length(stamp) < 19
            OR ifNull(NOT startsWith(toString(time), stamp), 1),
        'emit_timestamp is not YYYY-MM-DD hh:mm:ss.mmm',
        ''
    ) AS error,
    toUInt32(cityHash64(raw, kafka_timestamp)) AS record_hash
FROM shadow_stream
SETTINGS
    allow_simdjson = 1,
    limit = 0,
    offset = 0,
    date_time_64_output_format_cut_trailing_zeros_align_to_groups_of_thousands = 0
