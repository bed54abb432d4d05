"""What an error of the machinery means to who runs the program: an exit code, and what to do."""

from __future__ import annotations

from typing import Final

from domination.errors import DominationError, Exit
from domination.kafka.faults import (
    FaultError,
    FencedError,
    Lack,
    MissingError,
    NoBrokerError,
    RefusedError,
    SettingError,
    UnavailableError,
)

_LACKING: Final = {
    Lack.CERTIFICATE: "check DOMINATION_KAFKA_SSL_CA_LOCATION",
    Lack.CREDENTIALS: "check DOMINATION_KAFKA_SASL_USERNAME, …_PASSWORD and …_MECHANISM",
    Lack.RIGHT: "ask for that ACL",
}


def expected(error: Exception) -> DominationError | None:
    """Give the expected end that an error means; None for a bug."""
    if isinstance(error, DominationError):
        return error
    if not isinstance(error, FaultError):
        return None
    advice = _advice(error)
    return DominationError(_exit_code(error), f"{error}; {advice}" if advice else str(error))


def _exit_code(error: FaultError) -> Exit:
    if isinstance(error, UnavailableError):
        return Exit.UNAVAILABLE
    if isinstance(error, FencedError):
        return Exit.TEMPORARY
    return Exit.REFUSED if isinstance(error, RefusedError) else Exit.SETTING


def _advice(error: FaultError) -> str | None:
    if isinstance(error, NoBrokerError):
        return "start Kafka or set DOMINATION_KAFKA_BOOTSTRAP_SERVERS and …_SECURITY_PROTOCOL"
    if isinstance(error, FencedError):
        return (
            "start it again, and if it ends so again give each worker its own DOMINATION_INSTANCE"
        )
    if isinstance(error, MissingError):
        return "make it with 'domination topics'"
    if isinstance(error, SettingError):
        return "check DOMINATION_KAFKA_…"
    return _LACKING[error.lack] if isinstance(error, RefusedError) else None
