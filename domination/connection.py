"""The settings, as what a Kafka client is made from and what it has to be allowed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domination.kafka.client import Connection
from domination.settings import NAME

if TYPE_CHECKING:
    from domination.settings import Settings


def of(settings: Settings) -> Connection:
    """Give the connection to the cluster of the settings."""
    shared = {"bootstrap.servers": settings.bootstrap_servers, "client.id": NAME}
    return Connection(shared | dict(settings.kafka))


def needed(settings: Settings) -> dict[str, str]:
    """Give what a worker has to be allowed on each topic."""
    return dict(zip(settings.topics, ("READ", "WRITE", "WRITE"), strict=True))
