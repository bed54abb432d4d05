"""Forgetting a human: deleting the rows, and saying what the topics still hold, and until when."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Final

from domination import connection
from domination.clickhouse import queries, schema
from domination.kafka.cluster import Cluster
from domination.kafka.retention import kept

if TYPE_CHECKING:
    from collections.abc import Iterator

    from domination.clickhouse.queries import Database, HumansRows
    from domination.kafka.retention import Kept
    from domination.settings import Settings

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)


def forget(database: Database, settings: Settings, unique_id: str, *, yes: bool) -> Iterator[str]:
    """Delete a human's rows, or without `yes` only count them; say in lines what was found.

    Asks ClickHouse and Kafka before it deletes. Raises a `ClickHouseError` or a `FaultError`.
    """
    schema.require_version(database)
    if yes:
        schema.require_stored(database)
    rows = queries.humans_rows(database, unique_id)
    topics = list(kept(Cluster(connection.of(settings)), settings.topics))
    if yes:
        queries.delete_human(database, unique_id)
    yield from _rows(rows, "deleted" if yes else "would be deleted")
    yield from map(_held, topics)
    if any(each.records for each in topics):
        yield "Nothing is deleted from the topics. Until then they may hold records of this human."
        yield "If a worker or ClickHouse reads one later, its row comes back; run this again."
    if not yes:
        yield "nothing was deleted; add --yes to delete the rows"


def _rows(rows: HumansRows, what: str) -> Iterator[str]:
    yield f"{rows.shadow:>11,} rows of shadow {what}"
    yield f"{rows.broken:>11,} rows of shadow_broken {what}"
    if rows.mentions:
        yield f"{rows.mentions:>11,} other rows of shadow_broken contain this text, and stay"


def _held(each: Kept) -> str:
    if not each.records:
        return f"{each.topic}: no records"
    held = f"{each.topic}: at most {each.records:,} records of all humans, "
    moment = None if each.until is None else _moment(each.until)
    return f"{held}until {moment} UTC ({each.why})" if moment else f"{held}for ever ({each.why})"


def _moment(milliseconds: int) -> str | None:
    """Write a time; None where it is later than all that a calendar has."""
    try:
        moment = _EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError:
        return None
    return f"{moment:%Y-%m-%d %H:%M}"
