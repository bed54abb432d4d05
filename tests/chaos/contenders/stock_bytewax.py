"""Bytewax with its own Kafka connectors. Run with recovery: -r and a short -s are its guarantee.

Its strongest setting: the producer is idempotent and never gives a record up; the sink flushes each
batch, and the source's offsets are kept with the epoch that the batch belongs to.
"""

from __future__ import annotations

from typing import Any

import bytewax.operators as op
from bytewax.connectors.kafka import KafkaSink, KafkaSinkMessage, KafkaSource
from bytewax.dataflow import Dataflow

import job


def _judge(message: Any) -> KafkaSinkMessage[Any, Any]:
    return KafkaSinkMessage(message.key, job.shadow(message.value))


flow = Dataflow("contender")
ratings = op.input("ratings", flow, KafkaSource([job.BROKERS], [job.RATINGS]))
shadows = op.map("judge", ratings, _judge)
never = {"acks": "all", "enable.idempotence": "true", "message.timeout.ms": "0"}
op.output("shadows", shadows, KafkaSink([job.BROKERS], job.SHADOWS, add_config=never))
