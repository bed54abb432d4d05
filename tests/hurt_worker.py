"""A worker that is made to fail: it stops at a named point, or breaks the commit rule.

Run in place of `domination worker`. CHAOS_STOP_AT is `point:count:signal`: at the count-th time it
comes to the point it sends the signal to itself, or hangs for so many seconds if that is negative;
with a count of 0 each time. In place of a signal it takes a path, and hangs until that is there.
CHAOS_ABORT_AT is a count: it aborts when so many batches have been written, as if it lost them.
CHAOS_TURN_SECONDS is the time after which a worker that does not turn is not alive any more.
CHAOS_BREAK names a way to break the rule, to see that the oracle finds out.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from confluent_kafka import Consumer, KafkaException

from domination import http, reader
from domination.cli.main import main as command
from domination.identity import Identity
from domination.reader import Reader
from domination.session import Session
from domination.transaction import Transaction
from domination.writer import Writer
from pipeline import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from confluent_kafka import Message, TopicPartition


def _before(owner: type, name: str, act: Callable[..., None]) -> None:
    method = getattr(owner, name)

    def changed(self: Any, *arguments: Any, **named: Any) -> Any:
        act(self, *arguments)
        return method(self, *arguments, **named)

    setattr(owner, name, changed)


def _after(owner: type, name: str, act: Callable[..., None]) -> None:
    method = getattr(owner, name)

    def changed(self: Any, *arguments: Any, **named: Any) -> Any:
        result = method(self, *arguments, **named)
        act(self, *arguments)
        return result

    setattr(owner, name, changed)


# The points, and how to come by them.
POINTS: Final[dict[str, Callable[[Callable[..., None]], None]]] = {
    "before produce": lambda act: _before(Writer, "write", act),
    "after produce": lambda act: _after(Writer, "write", act),
    "after send_offsets": lambda act: _after(Writer, "send_offsets", act),
    "during commit": lambda act: _before(Writer, "commit", _flushed(act)),
    "after commit": lambda act: _after(Writer, "commit", act),
    "before renewing": lambda act: _before(Writer, "renew", act),
    "while rewinding": lambda act: _before(Reader, "rewind", act),
}


def _flushed(act: Callable[..., None]) -> Callable[..., None]:
    """Act once the broker has all the records, and only the commit itself is left."""

    def flushed(writer: Writer, *arguments: Any) -> None:
        writer._producer.flush(5)
        act(writer, *arguments)

    return flushed


def _once(count: int, act: Callable[..., None]) -> Callable[..., None]:
    times = iter(range(1, count + 1))

    def counted(*arguments: Any) -> None:
        if count == next(times, 0):
            act(*arguments)

    return counted


def _stop(count: int, how: str) -> Callable[..., None]:
    def act(*_: Any) -> None:
        if how.startswith("/"):
            eventually(Path(how).exists, 120)
        elif (number := float(how)) > 0:
            os.kill(os.getpid(), int(number))
        else:
            time.sleep(-number)

    return _once(count, act)


def _abort(session: Session, *_: Any) -> None:
    """Abort a transaction whose records are at the broker, or on their way there for a second."""
    session._writer._producer.flush(1)
    sys.stderr.write("aborting\n")
    session._rule.changed()


def _commit_before_flush() -> None:
    """Commit the offsets as soon as a batch is read, as a consumer that commits by itself does."""

    def commit(session: Session, messages: list[Message], _: object) -> None:
        with suppress(KafkaException):  # In a rebalance nobody may.
            session._reader._consumer.commit(message=messages[-1], asynchronous=False)

    _after(Session, "_emit", commit)


def _at_least_once() -> None:
    """Commit the offsets on their own, after the records."""
    kept: dict[Writer, list[TopicPartition]] = {}

    def keep(writer: Writer, positions: list[TopicPartition], *_: Any) -> None:
        kept[writer] = positions

    def commit(session: Session) -> None:
        with suppress(KafkaException):
            session._reader._consumer.commit(offsets=kept[session._writer], asynchronous=False)

    Writer.send_offsets = keep  # type: ignore[method-assign,assignment]
    _after(Session, "_commit", commit)


def _no_rewind() -> None:
    """Read on after an abort, or a change of the assignment, as if nothing had happened."""

    def assign(reader: Reader, timeout: float) -> Hashable:
        places = reader._find_places(timeout)
        reader._places |= {place.partition: place.offset for place in places}
        assigned = reader._assignment()
        reader._consumer.incremental_assign([p for p in places if p.partition not in assigned])
        return reader.membership()[1]

    Reader.rewind = assign  # type: ignore[method-assign,assignment]


def _random_id() -> None:
    """Take a new transactional id with every start."""

    def forget(identity: Identity, *_: Any) -> None:
        identity.transactional_id += f"-{uuid4().hex}"

    _after(Identity, "__init__", forget)


def _always(owner: type, name: str, answer: object) -> Callable[[], None]:
    """Let a method give the same answer whatever has happened."""
    return lambda: setattr(owner, name, lambda *_: answer)


# Whatever the records were read under.
_ANY_MEMBERSHIP: Final = _always(Transaction, "may_commit", answer=True)


def _commit_after_lost() -> None:
    """Commit although the partitions are another's, and without saying who we are."""
    reader._ABORT = reader._COMMIT  # type: ignore[misc]
    membership = Reader.membership

    def nameless(self: Reader) -> tuple[bytes, Hashable]:
        stranger = Consumer(
            {
                "bootstrap.servers": self._settings.bootstrap_servers,
                "group.id": self._settings.group,
            }
        )
        return stranger.consumer_group_metadata(), membership(self)[1]

    Reader.membership = nameless  # type: ignore[method-assign]
    _ANY_MEMBERSHIP()


BREAKS: Final[dict[str, Callable[[], None]]] = {
    "commit before flush": _commit_before_flush,
    "at least once": _at_least_once,
    "no rewind": _no_rewind,
    "random id": _random_id,
    "commit after lost": _commit_after_lost,
    "no doubt": _always(Writer, "in_doubt", answer=False),
    "any membership": _ANY_MEMBERSHIP,
}


def main() -> int:
    """Hurt the code as the environment asks, and run the worker."""
    if stop := os.environ.get("CHAOS_STOP_AT"):
        point, count, how = stop.split(":")
        POINTS[point](_stop(int(count), how))
    if batch := os.environ.get("CHAOS_ABORT_AT"):
        _after(Session, "write", _once(int(batch), _abort))
    if seconds := os.environ.get("CHAOS_TURN_SECONDS"):
        http._TURN_SECONDS = float(seconds)  # type: ignore[misc]
    if name := os.environ.get("CHAOS_BREAK"):
        BREAKS[name]()
    return command(["worker", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
