"""Why ClickHouse does not do what it was asked; the text says what happened, in one line."""

from __future__ import annotations


class ClickHouseError(Exception):
    """An end of what was asked of a server, for a reason that is known."""


class NoServerError(ClickHouseError):
    """No ClickHouse answers at the address."""


class LoginError(ClickHouseError):
    """The server does not know the user, or the password is wrong."""


class NoRightError(ClickHouseError):
    """The user lacks a right."""


class NoDatabaseError(ClickHouseError):
    """The database is not there."""


class NoTablesError(ClickHouseError):
    """Tables are not there."""


class OldTablesError(ClickHouseError):
    """Tables have keys of an older schema."""


class ShardedError(ClickHouseError):
    """Tables are on all servers of a cluster, and what was asked works on one server only."""


class UrlError(ClickHouseError):
    """The address does not fit."""


class TooOldError(ClickHouseError):
    """The server cannot read from a Kafka of today."""
