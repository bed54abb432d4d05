-- Reads the topic: one row a record, as raw bytes. The format JSONEachRow would accept bad records
-- silently: a record without its keys becomes a row of defaults, a record with two objects becomes
-- two rows, and the 31st of February becomes another day.
-- Each consumer has a thread of its own. It writes a part of shadow after each poll of 700 ms, so a
-- row waits for half of that in the median.
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
    kafka_num_consumers = $consumers,
    kafka_thread_per_consumer = 1,
    kafka_poll_timeout_ms = 700,
    kafka_flush_interval_ms = 600$login
