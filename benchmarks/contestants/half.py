"""Half of the work, in our batches and with our settings: to see where the limit lies.

`consume` reads every record and its fields' bytes; `produce` writes as many shadows as there are
ratings, in no transaction. Each tells on stdout how many records it moved in how many seconds.
"""

from __future__ import annotations

import sys
import time

import orjson
from confluent_kafka import Message, TopicPartition

import job
from domination.exactly_once import reader, writer
from domination.exactly_once.consumer_config import CONFIG
from domination.kafka.client import Connection

BATCH = reader.BATCH_RECORDS
CLUSTER = Connection({"bootstrap.servers": job.BROKERS})


def consume(count: int, partitions: int) -> float:
    """Read so many records; give the seconds from the first on."""
    consumer = CLUSTER.consumer(CONFIG, {"group.id": job.GROUP})
    consumer.assign([TopicPartition(job.RATINGS, number, 0) for number in range(partitions)])
    first = consumer.consume(1, 60)
    started, left = time.perf_counter(), count - len(first)
    while left > 0:
        messages = consumer.consume(BATCH, 0.1)
        values, keys = list(map(Message.value, messages)), list(map(Message.key, messages))
        left -= min(len(values), len(keys))
    return time.perf_counter() - started


def produce(count: int) -> float:
    """Write so many records of a shadow's size; give the seconds until all are confirmed."""
    producer = CLUSTER.producer(writer.CONFIG)
    value = job.shadow(b'{"rating":3,"unique_id":"%b"}' % (b"u" * 36))
    producer.list_topics(job.SHADOWS, timeout=30)
    started, left = time.perf_counter(), count
    while left > 0:
        batch = [{"value": value, "key": b"k" * 36} for _ in range(min(BATCH, left))]
        taken = producer.produce_batch(job.SHADOWS, batch)
        left -= taken
        producer.poll(0 if taken == len(batch) else 0.01)
    assert producer.flush(120) == 0
    return time.perf_counter() - started


if __name__ == "__main__":
    number = int(sys.argv[2])
    seconds = produce(number) if sys.argv[1] == "produce" else consume(number, int(sys.argv[3]))
    sys.stdout.write(orjson.dumps({"records": number, "seconds": seconds}).decode() + "\n")
