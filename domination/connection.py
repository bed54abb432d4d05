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


def of_clickhouse(settings: Settings) -> Connection:
    """Give the connection to the brokers of ClickHouse as its user; it trusts as a worker does."""
    login = {
        "bootstrap.servers": settings.clickhouse_kafka_brokers or settings.bootstrap_servers,
        "client.id": NAME,
        "security.protocol": settings.clickhouse_kafka_security_protocol,
        "sasl.mechanism": settings.clickhouse_kafka_sasl_mechanism,
        "sasl.username": settings.clickhouse_kafka_sasl_username,
        "sasl.password": settings.clickhouse_kafka_sasl_password,
    }
    workers = {name: text for name, text in settings.kafka.items() if not name.startswith("sasl.")}
    return Connection(workers | login)


def needed(settings: Settings) -> dict[str, str]:
    """Give what a worker has to be allowed on each topic."""
    return dict(zip(settings.topics, ("READ", "WRITE", "WRITE"), strict=True))
