"""What an error of the machinery means to who runs the program: an exit code, and what to do."""

from __future__ import annotations

from typing import Final

from domination.clickhouse.faults import (
    ClickHouseError,
    LoginError,
    NoDatabaseError,
    NoRightError,
    NoServerError,
    NoTablesError,
    OldTablesError,
    ShardedError,
    UrlError,
)
from domination.errors import DominationError, Exit
from domination.exactly_once.errors import (
    GaveUpError,
    GoneError,
    LostOffsetsError,
    MadeAgainError,
    NoNameError,
)
from domination.kafka.faults import (
    FaultError,
    FencedError,
    Lack,
    MembersError,
    MissingError,
    NoBrokerError,
    NoTokenError,
    RefusedError,
    SettingError,
    UnavailableError,
    UnreachableError,
    UnsettledError,
)
from domination.settings import environment_name

_EXITS: Final = {
    UnavailableError: Exit.UNAVAILABLE,
    FencedError: Exit.TEMPORARY,
    MembersError: Exit.TEMPORARY,
    UnsettledError: Exit.TEMPORARY,
    RefusedError: Exit.REFUSED,
    FaultError: Exit.SETTING,
    NoServerError: Exit.UNAVAILABLE,
    LoginError: Exit.REFUSED,
    NoRightError: Exit.REFUSED,
    ClickHouseError: Exit.SETTING,
}
"""The first that fits."""
_ADVICE: Final = {
    NoBrokerError: (
        "start Kafka, or set DOMINATION_KAFKA_BOOTSTRAP_SERVERS and "
        "DOMINATION_KAFKA_SECURITY_PROTOCOL"
    ),
    NoNameError: "set DOMINATION_INSTANCE, a different one for each worker",
    UnreachableError: ("make it reachable from here, or change the broker's advertised.listeners"),
    NoTokenError: "check DOMINATION_KAFKA_SASL_OAUTHBEARER_TOKEN_ENDPOINT_URL",
    FencedError: (
        "start it again; if this happens again, give each worker its own DOMINATION_INSTANCE"
    ),
    MembersError: (
        "stop all workers and try again; Kafka forgets a killed worker after 10 seconds"
    ),
    UnsettledError: (
        "find it with 'kafka-transactions.sh find-hanging', abort it, and start again"
    ),
    LostOffsetsError: (
        "stop all workers and set where to begin: 'domination rewind --to earliest' judges every "
        "record of the topic again, '--to latest --skip' judges none of them"
    ),
    GoneError: (
        "stop all workers and set where to continue: 'domination rewind --to earliest --partition "
        "N' goes to the first record that is left"
    ),
    MadeAgainError: (
        "stop all workers and set where to begin: 'domination rewind --to earliest' judges every "
        "record of the new topic"
    ),
    MissingError: "create it with 'domination topics'",
    NoServerError: "start it or set DOMINATION_CLICKHOUSE_URL",
    LoginError: "check user and password in DOMINATION_CLICKHOUSE_URL",
    NoDatabaseError: "create it, or name another one in DOMINATION_CLICKHOUSE_URL",
    NoTablesError: "create them with 'domination schema apply'",
    OldTablesError: "move their rows as docs/operate.md says ('Tables of an older schema')",
    ShardedError: "do it as docs/operate.md says ('ClickHouse with replicas and shards')",
    UrlError: "check DOMINATION_CLICKHOUSE_URL",
}
_LACKING: Final = {
    Lack.CERTIFICATE: "check DOMINATION_KAFKA_SSL_CA_LOCATION",
    Lack.CREDENTIALS: "check DOMINATION_KAFKA_SASL_USERNAME, …_PASSWORD and …_MECHANISM",
    Lack.OAUTH: (
        "check DOMINATION_KAFKA_SASL_OAUTHBEARER_CLIENT_ID, …_CLIENT_SECRET, …_SCOPE and "
        "…_TOKEN_ENDPOINT_URL"
    ),
    Lack.RIGHT: "ask for that ACL",
}


def expected(error: Exception) -> DominationError | None:
    """Give the expected end that an error means; None for a bug."""
    if isinstance(error, DominationError):
        return error
    exit_code = next((code for kind, code in _EXITS.items() if isinstance(error, kind)), None)
    if exit_code is None:
        return None
    advice = _advice(error)
    return DominationError(exit_code, f"{error}; {advice}" if advice else str(error))


def _advice(error: Exception) -> str | None:
    if isinstance(error, GaveUpError):
        return _advice(error.last or NoBrokerError(""))
    if isinstance(error, SettingError):
        names = [environment_name(f"kafka.{name}") for name in error.properties]
        return f"check {' and '.join(names)}" if names else None
    if isinstance(error, RefusedError):
        return _LACKING[error.lack]
    return _ADVICE.get(type(error))
