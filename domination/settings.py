"""Every setting, its default and its unit, in one place; read from the environment once."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from itertools import combinations
from typing import TYPE_CHECKING, Final

from domination import address, secret
from domination.environment import KAFKA, PREFIX, own_of, property_of, with_files
from domination.errors import DominationError, Exit
from domination.exactly_once.options import LONGEST_INTERVAL, id_prefix, unfit
from domination.exactly_once.reserved import RESERVED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

NAME: Final = "domination"
"""Begins the transactional ids and the headers of dead letters."""
_LONGEST_SHOWN: Final = 100
_BOOTSTRAP: Final = "KAFKA_BOOTSTRAP_SERVERS"

TOPICS: Final = ("input_topic", "output_topic", "dead_letter_topic")
"""The settings that name the three topics."""

LONGEST_TTL_DAYS: Final = 10_000
"""ClickHouse's time ends in 2106, and begins again."""
MOST_CONSUMERS: Final = 16
"""ClickHouse refuses more, but on a server of more cores."""

LOG_LEVELS: Final = ("debug", "info", "warning", "error")
LOG_FORMATS: Final = ("text", "json")
_WORDS: Final = ("log_level", "log_format")
"""The settings that take words, in small letters or capitals."""
SECURITY_PROTOCOLS: Final = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")

_NUMBERS: Final[Mapping[str, tuple[Callable[[str], float], str]]] = {
    "float": (float, "number"),
    "int": (int, "whole number"),
}
"""How the text of a number is read, by its type."""

# Properties that have a setting of ours, and two that the Python client takes as objects, not text.
_REFUSED: Final = {
    **RESERVED,
    "default.topic.config": "set each of its properties by its own name",
    "group.id": f"use {PREFIX}GROUP",
    "group.instance.id": f"use {PREFIX}INSTANCE",
    "logger": f"use {PREFIX}LOG_LEVEL",
    "transactional.id": f"use {PREFIX}INSTANCE",
}
_HAVE_SECRETS: Final = ("clickhouse_url", "clickhouse_kafka_sasl", "kafka")


class MisfitError(DominationError):
    """A value does not fit its setting."""

    def __init__(self, setting: str, what: str) -> None:
        super().__init__(Exit.SETTING, f"{environment_name(setting)} {what}")
        self.setting = setting


@dataclass(frozen=True)
class Settings:
    """What a process of the package runs with."""

    bootstrap_servers: str = "localhost:9092"
    """Kafka brokers, `host:port[,host:port…]`."""
    kafka: Mapping[str, str] = field(default_factory=dict)
    """Any other librdkafka property, by its own name."""
    input_topic: str = "dominate"
    """Topic of the ratings."""
    output_topic: str = "shadow"
    """Topic of the shadows."""
    dead_letter_topic: str = "dominate.dead-letter"
    """Topic of the records that could not be used."""
    group: str = "domination"
    """Consumer group, and part of the transactional id."""
    instance: str = ""
    """Name of this instance, the same after a restart; empty: host name and first free slot."""
    commit_interval_seconds: float = 0.5
    """Longest time between commits while records flow; once none are left it commits at once."""
    availability_timeout_seconds: float = 120.0
    """A worker that makes no progress for this time ends with 69."""
    clickhouse_url: str = "clickhouse://default@localhost:9000/default"
    """ClickHouse's native protocol: `clickhouse[s]://user:password@host:port/database`."""
    clickhouse_kafka_brokers: str = ""
    """The brokers as ClickHouse sees them; empty: the same."""
    clickhouse_kafka_security_protocol: str = ""
    """How ClickHouse speaks to them, of `SECURITY_PROTOCOLS`; empty: as its server says."""
    clickhouse_kafka_sasl_mechanism: str = ""
    """How ClickHouse logs in at Kafka: PLAIN, SCRAM-SHA-256 and so on."""
    clickhouse_kafka_sasl_username: str = ""
    """ClickHouse's user at Kafka, another one than the workers'."""
    clickhouse_kafka_sasl_password: str = field(default="", repr=False)
    """That user's password."""
    clickhouse_group: str = "shadow-group"
    """Consumer group of ClickHouse; a second ClickHouse needs one of its own."""
    clickhouse_consumers: int = 2
    """Threads with which ClickHouse reads, at most one for each partition and each of its cores."""
    clickhouse_ttl_days: int = 0
    """Days for which ClickHouse keeps a shadow, from its arrival; 0: for ever."""
    clickhouse_broken_ttl_days: int = 30
    """Days for which ClickHouse keeps a record that is not a shadow, from its arrival."""
    http: str = ""
    """`host:port` of /healthz, /readyz and /metrics; a port alone is on 127.0.0.1; empty: none.

    An IPv6 address is in brackets: `[::1]:9100`; so it is for `monitor`.
    """
    monitor: str = "127.0.0.1:8080"
    """`host:port` of the page of `domination monitor`; a port alone is on 127.0.0.1."""
    monitor_url: str = ""
    """The URL of that page behind a proxy, `https://host/path/`; empty: there is no proxy."""
    log_level: str = "info"
    """debug, info, warning or error."""
    log_format: str = "text"
    """text or json (one object a line)."""

    def __post_init__(self) -> None:
        """Refuse what no process could run with."""
        for name in ("bootstrap_servers", *TOPICS, "group", "clickhouse_group"):
            _require(bool(getattr(self, name).strip()), name, "must not be empty")
        for name in ("bootstrap_servers", "clickhouse_kafka_brokers"):
            text = getattr(self, name)
            _require(
                (name == "clickhouse_kafka_brokers" and not text) or address.are_brokers(text),
                name,
                "must be host:port[,host:port…]; an IPv6 address in brackets: [::1]:9092",
            )
        for name in TOPICS:
            why = unfit(topics=[getattr(self, name)])
            _require(why is None, name, f"{why}")
        for name in ("group", "instance", "clickhouse_group"):
            why = unfit(names=[getattr(self, name)])
            _require(why is None, name, f"{why}")
        for one, other in combinations(TOPICS, 2):
            _require(
                getattr(self, one) != getattr(self, other),
                other,
                f"must differ from {environment_name(one)}",
            )
        _require(
            0 < self.commit_interval_seconds <= LONGEST_INTERVAL,
            "commit_interval_seconds",
            "must be above 0 and at most 5",
        )
        _require(
            self.availability_timeout_seconds > 0, "availability_timeout_seconds", "must be above 0"
        )
        _require(
            1 <= self.clickhouse_consumers <= MOST_CONSUMERS,
            "clickhouse_consumers",
            f"must be 1 to {MOST_CONSUMERS}",
        )
        _require(
            0 <= self.clickhouse_ttl_days <= LONGEST_TTL_DAYS,
            "clickhouse_ttl_days",
            f"must be 1 to {LONGEST_TTL_DAYS}, or 0: for ever",
        )
        _require(
            1 <= self.clickhouse_broken_ttl_days <= LONGEST_TTL_DAYS,
            "clickhouse_broken_ttl_days",
            f"must be 1 to {LONGEST_TTL_DAYS}",
        )
        self._require_login()
        _require(self.log_level in LOG_LEVELS, "log_level", f"must be {_one_of(LOG_LEVELS)}")
        _require(self.log_format in LOG_FORMATS, "log_format", f"must be {_one_of(LOG_FORMATS)}")
        _require(
            address.is_clickhouse(self.clickhouse_url),
            "clickhouse_url",
            "must be clickhouse://user:password@host:port/database, percent-encoded: %2F for a /",
        )
        for name in ("http", "monitor"):
            text = getattr(self, name)
            _require(
                (name == "http" and not text) or address.is_listening(text),
                name,
                "must be host:port, [IPv6 address]:port, or a port, which is then on 127.0.0.1",
            )
        _require(
            not self.monitor_url or address.is_page(self.monitor_url),
            "monitor_url",
            "must be the page's URL behind a proxy: https://host/path/",
        )
        for name in self.kafka:
            why = _REFUSED.get(name)
            _require(why is None, f"kafka.{name}", f"cannot be changed: {why}")

    def _require_login(self) -> None:
        """Refuse half a login of ClickHouse at Kafka: its client would leave it out."""
        start = "clickhouse_kafka_sasl_"
        mechanism, user, password = (
            bool(getattr(self, start + part)) for part in ("mechanism", "username", "password")
        )
        _require(user or not password, f"{start}username", "must be set where its password is")
        _require(password or not user, f"{start}password", "must be set where its user is")
        _require(mechanism or not user, f"{start}mechanism", "must be set where there is a user")
        name = "clickhouse_kafka_security_protocol"
        protocol = self.clickhouse_kafka_security_protocol.upper()
        _require(
            protocol in ("", *SECURITY_PROTOCOLS), name, f"must be {_one_of(SECURITY_PROTOCOLS)}"
        )
        _require(
            not mechanism or protocol.startswith("SASL_"),
            name,
            "must be SASL_SSL or SASL_PLAINTEXT where there is a SASL mechanism",
        )

    @property
    def topics(self) -> tuple[str, str, str]:
        """The three topics: ratings, shadows, dead letters."""
        return self.input_topic, self.output_topic, self.dead_letter_topic

    @property
    def http_address(self) -> tuple[str, int]:
        """Host and port of `http`, where that is not empty."""
        return address.listening(self.http)

    @property
    def monitor_address(self) -> tuple[str, int]:
        """Host and port of `monitor`."""
        return address.listening(self.monitor)

    @property
    def id_prefix(self) -> str:
        """What the transactional ids of all workers of the group begin with."""
        return id_prefix(NAME, self.group)

    def shown(self) -> Iterator[tuple[str, str]]:
        """Yield each setting's environment name and value; secrets are hidden."""
        for each in fields(self):
            if each.name != "kafka":
                shown = secret.property_shown(each.name, str(getattr(self, each.name)))
                yield environment_name(each.name), shown
        for name, value in sorted(self.kafka.items()):
            yield environment_name(f"kafka.{name}"), secret.property_shown(name, value)


def _one_of(words: tuple[str, ...]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"


def environment_name(setting: str) -> str:
    """Name the environment variable of a setting: `group` is DOMINATION_GROUP."""
    if setting == "bootstrap_servers":
        return PREFIX + _BOOTSTRAP
    return PREFIX + setting.upper().replace(".", "_")


def from_environment(environment: Mapping[str, str] | None = None, **flags: object) -> Settings:
    """Read the settings; a flag that is not None wins over the environment.

    NAME_FILE names a file that has the value of NAME. What Kubernetes sets for a Service is no
    setting. Raises `DominationError` (78) on an unknown DOMINATION_… name, a file that cannot be
    read, a value that does not fit, or a librdkafka property that would break exactly-once.
    """
    given = own_of(environment)
    try:
        return _read(with_files(given), flags)
    except MisfitError as error:
        raise DominationError(error.exit_code, f"{error}{_found(error.setting, given)}") from None


def _read(environment: Mapping[str, str], flags: Mapping[str, object]) -> Settings:
    known = {environment_name(each.name): each for each in fields(Settings) if each.name != "kafka"}
    values: dict[str, object] = {}
    kafka: dict[str, str] = {}
    for name, text in environment.items():
        if name in known:
            values[known[name].name] = _parse(known[name].name, text, str(known[name].type))
        elif name.startswith(PREFIX + KAFKA):
            kafka[property_of(name)] = text
        else:
            message = f"{name} is not a setting; 'domination config' lists them all"
            raise DominationError(Exit.SETTING, message)
    values |= {name: flag for name, flag in flags.items() if flag is not None}
    return Settings(kafka=kafka, **values)  # type: ignore[arg-type]


def _found(setting: str, given: Mapping[str, str]) -> str:
    """Show the value, unless it may have a secret: before an @, or from the wrong file."""
    text = given.get(environment_name(setting), "")
    shown = text.strip() and "@" not in text and not setting.startswith(_HAVE_SECRETS)
    part = text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"
    return f"; it is {part!r}" if shown else ""


def _parse(setting: str, text: str, kind: str) -> object:
    if setting in _WORDS:
        return text.lower()
    if kind not in _NUMBERS:
        return text
    read, what = _NUMBERS[kind]
    try:
        return read(text)
    except ValueError:
        raise MisfitError(setting, f"must be a {what}") from None


def _require(holds: bool, setting: str, what: str) -> None:  # noqa: FBT001 - reads as a sentence
    if not holds:
        raise MisfitError(setting, what)
