"""A ClickHouse server, asked by its native protocol; what it refuses becomes an expected end."""

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

from domination.errors import DominationError, Exit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from domination.settings import Settings

_CONNECT_SECONDS: Final = 5
_ANSWER_SECONDS: Final = 60

# Those without a name here are newer than the driver's list.
_LOGIN: Final = frozenset(
    {516, ErrorCodes.UNKNOWN_USER, ErrorCodes.WRONG_PASSWORD, ErrorCodes.REQUIRED_PASSWORD}
)
_RIGHTS: Final = frozenset({497, ErrorCodes.READONLY, ErrorCodes.DATABASE_ACCESS_DENIED})

# No server, or none of ClickHouse's. What else the driver raises is about a statement of ours.
_UNAVAILABLE: Final = (
    NetworkError,
    SocketTimeoutError,
    UnexpectedPacketFromServerError,
    UnknownPacketFromServerError,
    OSError,
    EOFError,
)


class Server:
    """The server and the database of `DOMINATION_CLICKHOUSE_URL`; it connects when first asked.

    `seconds` is how long it may be silent, unless the URL says so.
    Raises `DominationError`: 69 where it does not answer, 77 where it refuses the user or a right,
    78 where the URL does not fit, or the database or a table is missing.
    """

    def __init__(self, settings: Settings, seconds: int = _ANSWER_SECONDS) -> None:
        # It would log each failed connection with a traceback.
        logging.getLogger("clickhouse_driver").setLevel(logging.CRITICAL)
        url = urlsplit(settings.clickhouse_url)
        patience = {"connect_timeout": _CONNECT_SECONDS, "send_receive_timeout": seconds}
        query = urlencode(patience | dict(parse_qsl(url.query)))
        path = url.path.rstrip("/") or "/default"
        try:
            self._client = Client.from_url(url._replace(query=query, path=path).geturl())
        except (ValueError, Error) as error:
            raise DominationError(
                Exit.SETTING, f"DOMINATION_CLICKHOUSE_URL does not fit: {_text(error)}"
            ) from error
        self._user = unquote(url.username or "default")
        self._database = path.strip("/")
        self.address = f"{url.hostname}:{url.port or (9440 if url.scheme[-1] == 's' else 9000)}"

    def execute(self, query: str) -> list[tuple[Any, ...]]:
        """Run one statement; give its rows."""
        with self._told():
            rows = self._client.execute(query)
        return rows if isinstance(rows, list) else []

    def close(self) -> None:
        """Disconnect."""
        self._client.disconnect()

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except ServerException as error:
            if end := self._refusal(error):
                raise end from error
            raise
        except _UNAVAILABLE as error:
            # The driver ends its text with the address, and of a silence tells nothing else.
            why = _text(error).removesuffix(f"({self.address})").strip() or "no answer in time"
            raise DominationError(
                Exit.UNAVAILABLE,
                f"no ClickHouse at {self.address} ({why}); "
                "start it or set DOMINATION_CLICKHOUSE_URL",
            ) from error

    def _refusal(self, error: ServerException) -> DominationError | None:
        at = f"ClickHouse at {self.address}"
        if error.code in _LOGIN:
            return DominationError(
                Exit.REFUSED,
                f"{at} refuses user {self._user}: check user and password in "
                "DOMINATION_CLICKHOUSE_URL",
            )
        if error.code in _RIGHTS:
            told = error.message.split(". Stack trace:")[0].removeprefix("DB::Exception: ")
            return DominationError(
                Exit.REFUSED, f"{at} refuses user {self._user} a right: {told.splitlines()[0]}"
            )
        if error.code == ErrorCodes.UNKNOWN_DATABASE:
            return DominationError(
                Exit.SETTING,
                f"{at} has no database {self._database}: create it, or name another one in "
                "DOMINATION_CLICKHOUSE_URL",
            )
        if error.code == ErrorCodes.UNKNOWN_TABLE:
            return DominationError(
                Exit.SETTING,
                f"{at} lacks tables in database {self._database}: make them with "
                "'domination schema apply'",
            )
        return None


def _text(error: Exception) -> str:
    return str(error).removeprefix(f"Code: {getattr(error, 'code', None)}. ")
