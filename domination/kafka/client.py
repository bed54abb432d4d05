"""Clients of one cluster, made in one place, with one order of merging their properties."""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import Consumer, KafkaException, Producer, libversion
from confluent_kafka.admin import AdminClient

from domination.kafka import faults
from domination.kafka.client_log import DEFAULT, ClientLog

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from domination.kafka.advertised import Advertised

CRITICAL: Final = 2
"""The `log_level` of clients that only ask: what goes wrong is raised as well."""
ASIDE_SECONDS: Final = 10.0
"""How long a question beside the work waits: it can be asked again over another connection."""
_SILENT_MS: Final = 4_000

DEFAULTS: Final[Mapping[str, Any]] = {
    # A broker's own default makes a topic, of one partition, for whoever asks for it by its name.
    "allow.auto.create.topics": False,
    "reconnect.backoff.max.ms": 1000,
    # Added partitions are found within ten seconds instead of five minutes.
    "topic.metadata.refresh.interval.ms": 10_000,
}
PRODUCER_DEFAULTS: Final[Mapping[str, Any]] = {
    # A broker's own default makes a topic, of one partition, for whoever asks for it by its name.
    "allow.auto.create.topics": False,
    # Java's partitioner, so that a key has one partition whoever writes it.
    "partitioner": "murmur2_random",
}
"""Any other client warns of these."""

_READ_HERE: Final = frozenset({"fetch.max.bytes", "message.max.bytes", "socket.timeout.ms"})
"""The numbers among the properties that not only clients read."""
_LACKS: Final = re.compile(r"must be set$|is mandatory")
_PROPERTY: Final = re.compile(r"[a-z]+(?:\.[a-z]+)+")


def librdkafka_version() -> str:
    """Give the version of the client's library."""
    return libversion()[0]


@dataclass(frozen=True)
class Connection:
    """How to reach a cluster: librdkafka's properties, `bootstrap.servers` among them."""

    properties: Mapping[str, Any]
    log: ClientLog = field(default=DEFAULT, compare=False)
    """Where its clients log, each kind of line once in ten seconds."""

    @property
    def servers(self) -> str:
        """The brokers to begin with, `host:port[,host:port…]`."""
        return str(self.properties.get("bootstrap.servers", ""))

    def config(
        self, defaults: Mapping[str, Any], fixed: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Merge a client's properties; the later wins.

        Those of all clients, the client's own `defaults`, the connection's, and what is `fixed`
        because the client would be another one without.
        """
        return {**DEFAULTS, **defaults, **self.properties, **(fixed or {})}

    def consumer(
        self, defaults: Mapping[str, Any], fixed: Mapping[str, Any] | None = None
    ) -> Consumer:
        """Make a consumer; raises `SettingError`."""
        with self.making():
            return Consumer(self.config(defaults, fixed), logger=self.log)

    def producer(
        self, defaults: Mapping[str, Any], fixed: Mapping[str, Any] | None = None
    ) -> Producer:
        """Make a producer; raises `SettingError`."""
        with self.making():
            return Producer(self.config({**PRODUCER_DEFAULTS, **defaults}, fixed), logger=self.log)

    def admin(self, fixed: Mapping[str, Any], log: Advertised | None = None) -> AdminClient:
        """Make an admin client; raises `SettingError`."""
        with self.making():
            return AdminClient(self.config({}, fixed), logger=log or self.log)

    def admin_aside(self) -> AdminClient:
        """Make an admin client for questions beside the work; raises `SettingError`.

        It logs nothing, and notices a dead connection long before `ASIDE_SECONDS`.
        """
        return self.admin({"log_level": CRITICAL, "socket.timeout.ms": _SILENT_MS})

    @contextmanager
    def making(self) -> Iterator[None]:
        """Raise `SettingError` for what a client within refuses to be made with."""
        try:
            yield
        except KafkaException as exception:
            text = str(exception.args[0].str()).strip()
            message = f"while reading the settings: {text}"
            raise faults.SettingError(message, self._meant(text)) from exception

    def require(self) -> None:
        """Raise `SettingError` where no client can be made; connect to nothing."""
        self.admin({"log_level": CRITICAL})
        for name in _READ_HERE & self.properties.keys():
            number(self.properties, name)

    def _meant(self, text: str) -> list[str]:
        """Name the properties that a client speaks of: those that it lacks, or that do not fit."""
        if _LACKS.search(text):
            return [name for name in _PROPERTY.findall(text) if not self.properties.get(name)]
        return self._named(text) or self._decisive(text)

    def _named(self, text: str) -> list[str]:
        """Name those in the text.

        A client may know a property by another name: then that alone is refused in the same words.
        """
        return [
            name
            for name, value in self.properties.items()
            if re.search(rf"(?<![\w.]){re.escape(name)}(?![\w.])", text)
            or text == _refusal({name: value})
        ]

    def _decisive(self, text: str) -> list[str]:
        """Name those without which a client does not say so."""
        if text != _refusal(self.properties):
            return []
        every = self.properties.items()
        return [
            name
            for name in self.properties
            if text != _refusal({other: value for other, value in every if other != name})
        ]

    @contextmanager
    def asking(self, doing: str, rights: faults.Rights = faults.NO_RIGHTS) -> Iterator[None]:
        """Raise a `FaultError` for what Kafka answers within; no answer is one too."""
        try:
            yield
        except KafkaException as exception:
            error = exception.args[0]
            raise (
                faults.fault(error, doing, rights)
                or faults.unavailable(
                    error,
                    self.servers,
                    self.properties.get("sasl.oauthbearer.token.endpoint.url"),
                )
            ) from exception


def number(properties: Mapping[str, Any], name: str, default: int | None = None) -> int:
    """Give a property that is a whole number; raises `SettingError`.

    A client is not so strict: it takes 1000k, or 1.5, for what it begins with.
    """
    try:
        return int(properties.get(name, default))
    except (TypeError, ValueError):
        # Without the value, as it may be a secret from the wrong file.
        message = f"while reading the settings: the property {name} takes a whole number"
        raise faults.SettingError(message, [name]) from None


def _refusal(properties: Mapping[str, Any]) -> str | None:
    """Give the words in which a client refuses these properties, or None where it takes them."""
    try:
        AdminClient({**properties, "log_level": CRITICAL}, logger=DEFAULT)
    except KafkaException as exception:
        return str(exception.args[0].str()).strip()
    return None
