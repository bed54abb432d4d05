"""Every setting, its default and its unit, in one place; read from the environment once."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Final

from domination.errors import DominationError, Exit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PREFIX: Final = "DOMINATION_"
_KAFKA: Final = "KAFKA_"
_TESTS: Final = "TEST_"
# Half of the time after which Kafka aborts a transaction.
_LONGEST_INTERVAL: Final = 5.0
_BOOTSTRAP: Final = "KAFKA_BOOTSTRAP_SERVERS"

LOG_LEVELS: Final = ("debug", "info", "warning", "error")
LOG_FORMATS: Final = ("text", "json")

# Properties that the commit rule sets itself: another value would break exactly-once, or there is
# a setting of ours for it.
_REFUSED: Final = {
    "acks": "transactions need acks=all",
    "auto.offset.reset": "a new group starts at the earliest record; a lost offset ends the worker",
    "auto.commit.interval.ms": "offsets are committed by the transactions",
    "enable.auto.commit": "offsets are committed by the transactions",
    "enable.auto.offset.store": "offsets are committed by the transactions",
    "enable.idempotence": "transactions need an idempotent producer",
    "group.id": f"use {PREFIX}GROUP",
    "group.instance.id": f"use {PREFIX}INSTANCE",
    "isolation.level": "aborted records are never read",
    "request.required.acks": "transactions need acks=all",
    "transaction.timeout.ms": "the commit rule counts on ten seconds",
    "transactional.id": f"use {PREFIX}INSTANCE",
}
_SECRET_WORDS: Final = ("password", "secret", "token", "private", ".key.pem", "oauthbearer.config")


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
    commit_interval_seconds: float = 0.1
    """Longest time between commits while records flow."""
    availability_timeout_seconds: float = 120.0
    """A worker that reaches no broker for so long ends with 69."""
    log_level: str = "info"
    """debug, info, warning or error."""
    log_format: str = "text"
    """text or json (one object a line)."""

    def __post_init__(self) -> None:
        """Refuse what no process could run with."""
        for name in (
            "bootstrap_servers",
            "input_topic",
            "output_topic",
            "dead_letter_topic",
            "group",
        ):
            _require(bool(getattr(self, name).strip()), name, "must not be empty")
        _require(
            len(set(self.topics)) == len(self.topics),
            "input_topic",
            "must differ from the other two topics",
        )
        _require(
            0 < self.commit_interval_seconds <= _LONGEST_INTERVAL,
            "commit_interval_seconds",
            "takes 0 to 5",
        )
        _require(
            self.availability_timeout_seconds > 0, "availability_timeout_seconds", "must be above 0"
        )
        _require(self.log_level in LOG_LEVELS, "log_level", f"takes {', '.join(LOG_LEVELS)}")
        _require(self.log_format in LOG_FORMATS, "log_format", f"takes {' or '.join(LOG_FORMATS)}")
        for name in self.kafka:
            _require(name not in _REFUSED, f"kafka.{name}", f"is not free: {_REFUSED.get(name)}")

    @property
    def topics(self) -> tuple[str, str, str]:
        """The three topics: ratings, shadows, dead letters."""
        return self.input_topic, self.output_topic, self.dead_letter_topic

    def shown(self) -> Iterator[tuple[str, str]]:
        """Yield each setting's environment name and value; secrets are hidden."""
        for each in fields(self):
            if each.name != "kafka":
                yield environment_name(each.name), str(getattr(self, each.name))
        for name, value in sorted(self.kafka.items()):
            hidden = any(word in name for word in _SECRET_WORDS)
            yield environment_name(f"kafka.{name}"), "********" if hidden else value


def environment_name(setting: str) -> str:
    """Name the environment variable of a setting: `group` is DOMINATION_GROUP."""
    if setting == "bootstrap_servers":
        return PREFIX + _BOOTSTRAP
    return PREFIX + setting.upper().replace(".", "_")


def from_environment(environment: Mapping[str, str] | None = None, **flags: object) -> Settings:
    """Read the settings; a flag that is not None wins over the environment.

    Raises `DominationError` (78) on an unknown DOMINATION_… name, a value that does not fit, or a
    librdkafka property that would break exactly-once.
    """
    environment = os.environ if environment is None else environment
    known = {environment_name(each.name): each for each in fields(Settings) if each.name != "kafka"}
    values: dict[str, object] = {}
    kafka: dict[str, str] = {}
    for name, text in environment.items():
        if not name.startswith(PREFIX) or name.startswith(PREFIX + _TESTS):
            continue
        if name in known:
            values[known[name].name] = _parse(name, text, str(known[name].type))
        elif name.startswith(PREFIX + _KAFKA):
            kafka[name.removeprefix(PREFIX + _KAFKA).lower().replace("_", ".")] = text
        else:
            message = f"{name} is not a setting; 'domination config' lists them all"
            raise DominationError(Exit.SETTING, message)
    values |= {name: flag for name, flag in flags.items() if flag is not None}
    return Settings(kafka=kafka, **values)  # type: ignore[arg-type]


def _parse(name: str, text: str, kind: str) -> object:
    if kind != "float":
        return text
    try:
        return float(text)
    except ValueError:
        raise DominationError(Exit.SETTING, f"{name} takes a number, not {text!r}") from None


def _require(holds: bool, setting: str, what: str) -> None:  # noqa: FBT001 - reads as a sentence
    if not holds:
        raise DominationError(Exit.SETTING, f"{environment_name(setting)} {what}")
