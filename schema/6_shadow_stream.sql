-- The topic, a record a row, as its bytes. JSONEachRow makes a row of defaults of a record without
-- its keys, two rows of one with two objects, and another day of the 31st of February, in silence.
CREATE TABLE IF NOT EXISTS shadow_stream
(
    raw String
)
ENGINE = Kafka
SETTINGS
    kafka_broker_list = $brokers,
    kafka_topic_list = $topic,
    kafka_group_name = $group,
    kafka_format = 'RawBLOB',
    kafka_flush_interval_ms = 1000$login
