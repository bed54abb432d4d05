-- Parses the records. A record is a shadow if it is one JSON object, each field has its type, and its
-- time reads back as it was written (toDateTime64OrNull takes a month 13 for a date of 1900).
-- A record in the worker's own form, without escapes in its id and not of a leap day, is cut up by
-- position instead, which costs a third. The result is the same.
-- The settings override the server's profile, which could stop the view, drop rows, or break good
-- shadows.
CREATE MATERIALIZED VIEW IF NOT EXISTS shadow_consumer TO shadow_inbox
AS WITH
    isValidUTF8(raw) AND match(raw, concat(
        '\\A\\{"type":[0-3],"unique_id":"[^"\\\\\\x00-\\x1f]+","emit_timestamp":"',
        '(19[7-9]|20\\d|21\\d)\\d-((0[1-9]|1[0-2])-(0[1-9]|1\\d|2[0-8])',
        '|(0[13-9]|1[0-2])-(29|30)|(0[13578]|1[02])-31)',
        ' ([01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d\\.\\d{3}"\\}\\z'
    )) AS own,
    JSONExtract(raw, 'Tuple(type Nullable(Int64), unique_id Nullable(String), emit_timestamp Nullable(String))') AS record,
    tupleElement(record, 'type') AS kind,
    tupleElement(record, 'unique_id') AS id,
    tupleElement(record, 'emit_timestamp') AS stamp,
    toDateTime64OrNull(stamp, 3, 'UTC') AS time,
    multiIf(
        NOT isValidJSON(raw), 'not one JSON value',
        JSONType(raw) != 'Object', 'not an object',
        JSONType(raw, 'type') != 'Int64' OR kind NOT BETWEEN 0 AND 3, 'type is not 0, 1, 2 or 3',
        JSONType(raw, 'unique_id') != 'String' OR ifNull(id, '') = '', 'unique_id is not a non-empty string',
        JSONType(raw, 'emit_timestamp') != 'String' OR length(stamp) < 19
            OR ifNull(NOT startsWith(toString(time), stamp), 1),
        'emit_timestamp is not YYYY-MM-DD hh:mm:ss.mmm',
        ''
    ) AS why,
    if(
        own,
        (
            toInt64OrZero(substring(raw, 9, 1)),
            substring(raw, 24, length(raw) - 68),
            toDateTime64OrZero(substring(raw, -25, 23), 3, 'UTC'),
            ''
        ),
        (ifNull(kind, 0), ifNull(id, ''), ifNull(time, toDateTime64(0, 3, 'UTC')), why)
    ) AS judged
SELECT
    tupleElement(judged, 1) AS type,
    tupleElement(judged, 2) AS unique_id,
    tupleElement(judged, 3) AS emit_timestamp,
    _topic AS kafka_topic,
    _partition AS kafka_partition,
    _offset AS kafka_offset,
    ifNull(_timestamp_ms, toDateTime64(0, 3, 'UTC')) AS kafka_timestamp,
    raw,
    tupleElement(judged, 4) AS error,
    toUInt32(cityHash64(raw, kafka_timestamp)) AS record_hash
FROM shadow_stream
SETTINGS
    allow_simdjson = 1,
    limit = 0,
    offset = 0,
    date_time_64_output_format_cut_trailing_zeros_align_to_groups_of_thousands = 0
