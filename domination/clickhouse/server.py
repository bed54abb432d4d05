"""A ClickHouse server, asked over its native protocol; its refusals become typed errors."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from clickhouse_driver import Client
from clickhouse_driver.errors import (
    Error,
    ErrorCodes,
    NetworkError,
    ServerException,
    SocketTimeoutError,
    UnexpectedPacketFromServerError,
    UnknownPacketFromServerError,
)

from domination.clickhouse import schema
from domination.clickhouse.faults import (
    ClickHouseError,
    LoginError,
    NoDatabaseError,
    NoRightError,
    NoServerError,
    NoTablesError,
    UrlError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from urllib.parse import SplitResult

    from domination.settings import Settings

_DEFAULT_PORTS: Final = {"clickhouse": 9000, "clickhouses": 9440}
_CONNECT_SECONDS: Final = 5
_ANSWER_SECONDS: Final = 60

# The driver's list has no names for the numbers.
_LOGIN: Final = frozenset(
    {516, ErrorCodes.UNKNOWN_USER, ErrorCodes.WRONG_PASSWORD, ErrorCodes.REQUIRED_PASSWORD}
)
_RIGHTS: Final = frozenset({497, ErrorCodes.READONLY, ErrorCodes.DATABASE_ACCESS_DENIED})

# No server, or one that is no ClickHouse. Any other error of the driver is a bug in a statement.
_UNAVAILABLE: Final = (
    NetworkError,
    SocketTimeoutError,
    UnexpectedPacketFromServerError,
    UnknownPacketFromServerError,
    OSError,
    EOFError,
)


class Server:
    """The server and the database of `DOMINATION_CLICKHOUSE_URL`; it connects on the first query.

    It waits `seconds` for an answer, unless the URL says otherwise. Raises a `ClickHouseError`
    where the server does not answer or refuses, or the URL, the database or a table does not fit.
    """

    def __init__(self, settings: Settings, seconds: int = _ANSWER_SECONDS) -> None:
        # The driver would log each failed connection with a traceback.
        logging.getLogger("clickhouse_driver").setLevel(logging.CRITICAL)
        url = urlsplit(settings.clickhouse_url)
        path = url.path.rstrip("/") or "/default"
        self._client = _client(url._replace(path=path), seconds)
        self._user = unquote(url.username or "default")
        self._database = path.strip("/")
        self.address = f"{url.hostname}:{url.port or _DEFAULT_PORTS[url.scheme]}"

    def execute(self, query: str) -> list[tuple[Any, ...]]:
        """Run one statement; give its rows."""
        with self._translated():
            rows = self._client.execute(query)
        return rows if isinstance(rows, list) else []

    def close(self) -> None:
        """Disconnect."""
        self._client.disconnect()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Turn the driver's errors within into typed ones; a bug stays what it is."""
        try:
            yield
        except ServerException as error:
            if error.code == ErrorCodes.UNKNOWN_TABLE:
                # No tables can be made where the server is too old for them.
                schema.require_version(self)
            if end := self._refusal(error):
                raise end from error
            raise
        except _UNAVAILABLE as error:
            raise self._unavailable(error) from error

    def _unavailable(self, error: Exception) -> NoServerError:
        # The driver ends its text with the address; after a silence the text is nothing else.
        why = _text(error).removesuffix(f"({self.address})").strip() or "no answer in time"
        return NoServerError(f"no ClickHouse at {self.address} ({why})")

    def _refusal(self, error: ServerException) -> ClickHouseError | None:
        at = f"ClickHouse at {self.address}"
        if error.code in _LOGIN:
            return LoginError(f"{at} refuses user {self._user}")
        if error.code in _RIGHTS:
            return NoRightError(f"{at} refuses user {self._user} a right: {_first_line(error)}")
        if error.code == ErrorCodes.UNKNOWN_DATABASE:
            return NoDatabaseError(f"{at} has no database {self._database}")
        if error.code == ErrorCodes.UNKNOWN_TABLE:
            return NoTablesError(f"{at} lacks tables in database {self._database}")
        return None


def _client(url: SplitResult, seconds: int) -> Client:
    limits = {"connect_timeout": _CONNECT_SECONDS, "send_receive_timeout": seconds}
    query = urlencode(limits | dict(parse_qsl(url.query)))
    try:
        return Client.from_url(url._replace(query=query).geturl())
    except (ValueError, LookupError, AttributeError, Error) as error:
        raise UrlError(f"the URL of ClickHouse is not valid: {_text(error)}") from error


def _first_line(error: ServerException) -> str:
    text = str(error.message).split(". Stack trace:")[0].removeprefix("DB::Exception: ")
    return text.splitlines()[0]


def _text(error: Exception) -> str:
    return str(error).removeprefix(f"Code: {getattr(error, 'code', None)}. ")
