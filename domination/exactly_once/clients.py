"""The clients of a worker, made once to see whether its properties fit together."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

from confluent_kafka import Consumer

from domination.exactly_once import writer
from domination.exactly_once.consumer_config import of_member
from domination.exactly_once.link import Link

if TYPE_CHECKING:
    from domination.kafka.client import Connection


def require(connection: Connection, group: str) -> None:
    """Raise `SettingError` where a worker's clients cannot be made; connect to nothing."""
    connection.require()
    # A consumer looks for its group as soon as it knows a broker.
    alone = replace(connection, properties={**connection.properties, "bootstrap.servers": ""})
    config = Link(alone.log).config(of_member(alone, group, "instance"))
    with connection.making(), closing(Consumer(config, logger=alone.log)):
        writer.producer(alone, "id")
