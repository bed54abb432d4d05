"""Asking a cluster: a client for it, and why nobody answers."""

from __future__ import annotations

from collections import deque
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

from confluent_kafka import KafkaError, KafkaException

from domination.kafka.advertised import Advertised
from domination.kafka.faults import (
    NO_RIGHTS,
    NoBrokerError,
    Rights,
    UnavailableError,
    UnreachableError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from confluent_kafka.admin import ClusterMetadata

    from domination.kafka.client import Connection

_WHY_SECONDS: Final = 2.0
"""How long an answer may take that only tells why there is no other."""


class Asking:
    """A client that asks a cluster, each answer within `timeout` seconds, and says why none comes.

    It finds out whether the brokers answer at the addresses that they advertise.
    """

    def __init__(self, connection: Connection, timeout: float = 5.0) -> None:
        self.connection = connection
        self.timeout = timeout
        """How long an answer may take, in seconds."""
        self._topic = ""
        """The topic that was asked for last."""
        self._advertised = Advertised(connection.log)
        self._heard: deque[KafkaError] = deque(maxlen=1)
        # Not a method of ours: a client that holds what holds it lives on, with its threads, until
        # the collector comes by.
        own = {"error_cb": partial(_hear, self._heard)}
        told = self._advertised.config(connection.properties)
        self.client = connection.admin(own | told, self._advertised)

    def reach(self, topic: str) -> None:
        """Raise unless each broker answers at the address that it advertises.

        Whatever it says of the topic. Raises as `asking` does.
        """
        with self.asking("asking for the brokers"):
            self.metadata(topic)
        self._require_addresses()

    @contextmanager
    def asking(self, doing: str, rights: Rights = NO_RIGHTS) -> Iterator[None]:
        """Do as the connection's `asking` does, and say more of why nobody answers.

        Raises `UnreachableError` where a broker answers, but not at the address that it advertises.
        """
        try:
            with self._asking(doing, rights):
                yield
        except UnavailableError:
            if self._advertised.addresses:
                Asking(self.connection, _WHY_SECONDS)._require_advertised(self._topic)
            raise

    @contextmanager
    def _asking(self, doing: str, rights: Rights = NO_RIGHTS) -> Iterator[None]:
        try:
            with self.connection.asking(doing, rights):
                yield
        except UnavailableError as error:
            self.client.poll(0)  # Only now does the client say why it has no connection.
            if self._heard:
                with self.connection.asking(doing):
                    raise KafkaException(self._heard[0]) from error
            raise

    def _require_advertised(self, topic: str) -> None:
        """Raise as `reach` does, but not where no broker answers at all."""
        with suppress(KafkaException):
            self.metadata(topic)
        self._require_addresses()

    def _require_addresses(self) -> None:
        """Raise `UnreachableError` unless a broker answers at each address that one advertises."""
        self.client.poll(0)  # Only now does the client say what it has learned.
        for address in self._advertised.addresses:
            if address not in self.connection.servers.split(","):
                self._require_answer(address)

    def _require_answer(self, address: str) -> None:
        properties = {**self.connection.properties, "bootstrap.servers": address}
        there = Asking(replace(self.connection, properties=properties), self.timeout)
        try:
            with there._asking("asking for the brokers"):
                there.metadata(self._topic)
        except NoBrokerError as error:
            servers = self.connection.servers
            raise UnreachableError(f"{error}, the address that {servers} advertises") from error

    def metadata(self, topic: str) -> ClusterMetadata:
        """Ask for a topic, and for the brokers with it."""
        self._topic = topic
        return self.client.list_topics(topic, timeout=self.timeout)


def _hear(heard: deque[KafkaError], error: KafkaError) -> None:
    # All brokers down: it has said why with the error before.
    if error.code() != KafkaError._ALL_BROKERS_DOWN:
        heard.append(error)
