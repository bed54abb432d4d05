"""The id of a topic, from a broker that cannot tell it."""

from __future__ import annotations

import logging

from domination.kafka.client import Connection
from domination.kafka.client_log import ClientLog
from domination.kafka.mock import mock_broker
from domination.kafka.topic_id import KafkaTopicId


def test_where_no_broker_is_the_controller_a_topic_has_no_id() -> None:
    with mock_broker(["in"]) as address:
        log = ClientLog(logging.getLogger("topic-id"))
        asker = KafkaTopicId(Connection({"bootstrap.servers": address}, log), "in")
        assert [asker.told(60.0) for _ in range(2)] == ["", ""]
