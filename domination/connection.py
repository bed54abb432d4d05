"""The settings, as what a Kafka client is made from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domination.kafka.client import Connection
from domination.log import librdkafka

if TYPE_CHECKING:
    from domination.settings import Settings


def of(settings: Settings) -> Connection:
    """Give the connection to the cluster of the settings."""
    shared = {"bootstrap.servers": settings.bootstrap_servers, "client.id": "domination"}
    return Connection(shared | dict(settings.kafka), librdkafka)
