"""What a `KafkaError` means: a table, and an exception for each end it may mean for good.

Nothing here asks the network. The text of an exception says what happened, in one line; what to do
about it is told by whoever knows the program's settings.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import TYPE_CHECKING, Final, NamedTuple

from confluent_kafka import KafkaError

if TYPE_CHECKING:
    from collections.abc import Sequence


_NAMED: Final = 10
"""As many members of a group are named in a line."""


class FaultError(Exception):
    """The work has to end, for a reason that is known."""


class UnavailableError(FaultError):
    """Nobody answers in time."""


class NoBrokerError(UnavailableError):
    """No broker answers."""


class UnreachableError(UnavailableError):
    """A broker answers, but not at the address that it advertises."""


class NoTokenError(UnavailableError):
    """Nobody gives a token for the broker."""


class FencedError(FaultError):
    """Another producer has this one's transactional id."""


class MissingError(FaultError):
    """A topic is not there."""

    def __init__(self, topics: Sequence[str], doing: str = "", detail: str = "") -> None:
        named = " and ".join(f"no topic {topic}" for topic in topics) or detail
        super().__init__(f"a topic is missing while {doing} ({named})" if doing else named)
        self.topics = topics
        """Those that are missing; empty where Kafka does not tell."""
        self.doing = doing


class MembersError(FaultError):
    """A group has members, so only they may move its offsets."""

    def __init__(self, group: str, members: Sequence[str] = ()) -> None:
        named = ", ".join(members[:_NAMED]) + ("…" if len(members) > _NAMED else "")
        super().__init__(f"group {group} has members" + (f": {named}" if named else ""))


class UnsettledError(FaultError):
    """An open transaction may still commit offsets of a group."""

    def __init__(self, group: str, seconds: float) -> None:
        super().__init__(
            f"a transaction that may still commit offsets of group {group} has been open for "
            f"{seconds:.0f} s"
        )


class UnwritableError(FaultError):
    """A topic refuses for good what is written to it."""


class SettingError(FaultError):
    """A property of a client, or a setting of the cluster, does not fit."""

    def __init__(self, message: str, properties: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.properties = properties
        """The properties that do not fit, where they are known."""


class Lack(Enum):
    """What a refused client lacks."""

    CERTIFICATE = "certificate"
    CREDENTIALS = "credentials"
    OAUTH = "oauth"
    RIGHT = "right"


class RefusedError(FaultError):
    """The broker, or the client itself, refuses: a certificate, a password, a token, or a right."""

    def __init__(self, doing: str, why: str, lack: Lack, *, named: bool = True) -> None:
        super().__init__(f"refused while {doing}: {why}")
        self.doing = doing
        self.lack = lack
        self.named = named
        """Whether the text names the right that is missing."""


class Rights(NamedTuple):
    """What a call needs, as `OPERATION on RESOURCE`, to name what is refused."""

    topic: str | None = None
    group: str | None = None
    transactional_ids: str | None = None


NO_RIGHTS: Final = Rights()

PRODUCER_FENCED: Final = frozenset(
    {KafkaError._FENCED, KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH}
)
MISSING: Final = frozenset({KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC})
TOPIC_REFUSED: Final = frozenset(
    {KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.CLUSTER_AUTHORIZATION_FAILED}
)
"""Kafka says the second where a user may write to no topic at all, or make none."""

_UNWRITABLE: Final = frozenset(
    {
        KafkaError.INVALID_RECORD,
        KafkaError.INVALID_TIMESTAMP,
        KafkaError.UNSUPPORTED_FOR_MESSAGE_FORMAT,
    }
)
_WRONG: Final = frozenset(
    {
        KafkaError._INVALID_ARG,
        KafkaError._UNSUPPORTED_FEATURE,
        KafkaError.INVALID_TRANSACTION_TIMEOUT,
        KafkaError.INVALID_SESSION_TIMEOUT,
        KafkaError.INCONSISTENT_GROUP_PROTOCOL,
        KafkaError.TOPIC_EXCEPTION,
        KafkaError.POLICY_VIOLATION,
        KafkaError.INVALID_REPLICATION_FACTOR,
        KafkaError.INVALID_PARTITIONS,
    }
)
# The client tells a handshake that failed as one or as the other.
_TLS: Final = frozenset({KafkaError._SSL, KafkaError._TRANSPORT})
_WHO: Final = frozenset({KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED})
_ABORT_TOO: Final = ": current transaction must be aborted"
# What SASL says of a connection that broke on the way, as when a broker ends.
_BROKEN: Final = "Local:"
# How long the client's connection was in which state.
_STATE: Final = re.compile(r" \(after \d+ms in state .*\)$")
_OVERSIZED: Final = re.compile(r"Receive failed: Invalid response size (\d+) .*")
# The client takes the first four bytes of an answer for its length. This is an alert of TLS, and
# letters are more: "HTTP", say.
_LEAST_FOREIGN: Final = 0x15_00_00_00
_TOKENLESS: Final = "Failed to acquire SASL OAUTHBEARER token"
# How a broker refuses a token (RFC 7628, 3.2.2).
_INVALID: Final = "invalid_token"
# How a token endpoint refuses a client (RFC 6749, 5.2). Anything else may pass, as a broker that is
# away does.
_NO_TOKEN: Final = (
    *("invalid_request", "invalid_client", "invalid_grant", "invalid_scope"),
    *("unauthorized_client", "unsupported_grant_type", "access_denied"),
)


def fault(error: KafkaError, doing: str, rights: Rights = NO_RIGHTS) -> FaultError | None:
    """Give the end that an error means for good; None where trying again may help."""
    code, text = error.code(), error.str()
    if code in PRODUCER_FENCED:
        return FencedError(f"fenced while {doing}: another producer has the same transactional id")
    if code in MISSING:
        return MissingError((), doing, text)
    if code in _UNWRITABLE:
        return UnwritableError(
            f"a topic refuses a record, while {doing}: {text.removesuffix(_ABORT_TOO)}; "
            "check the topic's cleanup.policy (compact refuses a record without a key) and its "
            "message.timestamp.* (they bound the time of a record)"
        )
    if code in _WRONG:
        return SettingError(f"while {doing}: {text.strip()}")
    return refusal(error, doing, rights)


def refusal(error: KafkaError, doing: str, rights: Rights = NO_RIGHTS) -> RefusedError | None:
    """Give the refusal that an error means, or None."""
    code, text = error.code(), error.str()
    if code in _TLS and "certificate" in text:
        return RefusedError(doing, f"a certificate is not trusted ({text})", Lack.CERTIFICATE)
    if code in _WHO and _BROKEN not in text and not _waits_for_token(text):
        return _login_refused(doing, text)
    if code in TOPIC_REFUSED:
        return no_right(doing, rights.topic)
    if code == KafkaError.GROUP_AUTHORIZATION_FAILED:
        return no_right(doing, rights.group)
    if code == KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
        return no_right(doing, rights.transactional_ids)
    return None


def _login_refused(doing: str, text: str) -> RefusedError:
    if _TOKENLESS in text:
        return RefusedError(doing, f"no token for this client ({text})", Lack.OAUTH)
    if _INVALID in text:
        return RefusedError(doing, f"the token is not accepted ({text})", Lack.OAUTH)
    return RefusedError(doing, f"wrong user or password ({text})", Lack.CREDENTIALS)


def no_right(doing: str, right: str | None) -> RefusedError:
    """Say which ACL is missing."""
    why = f"no right to {right or 'do that'}"
    return RefusedError(doing, why, Lack.RIGHT, named=right is not None)


def unavailable(error: KafkaError, servers: str, endpoint: str | None = None) -> UnavailableError:
    """Say that no broker of `servers` answers, or not the token endpoint."""
    text = error.str()
    if _TOKENLESS in text:
        why = text.removeprefix(_TOKENLESS)[2:]
        return NoTokenError(f"no token from {endpoint or 'the token endpoint'} ({why})")
    why = _STATE.sub("", re.sub(rf"^(\w+://)?{re.escape(servers)}/\w+: ", "", text))
    if (found := _OVERSIZED.fullmatch(why)) and int(found[1]) >= _LEAST_FOREIGN:
        why = "the server at that address does not speak Kafka"
    return NoBrokerError(f"no broker at {servers} ({why})")


def _waits_for_token(text: str) -> bool:
    return _TOKENLESS in text and not any(refused in text for refused in _NO_TOKEN)
