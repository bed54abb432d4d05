"""How clients are made, and how little they log."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from domination.exactly_once.transactional import TransactionalProducer
from domination.kafka.client import Connection
from domination.kafka.client_log import ClientLog
from harness.processes import eventually

if TYPE_CHECKING:
    import pytest
    from confluent_kafka import Consumer, Producer

LOGGER: Final = logging.getLogger("clients")
NOBODY: Final = {"bootstrap.servers": "127.0.0.1:1"}


def test_no_client_is_given_properties_of_another_kind_of_client(
    caplog: pytest.LogCaptureFixture,
) -> None:
    connection = Connection(NOBODY, LOGGER)  # type: ignore[arg-type]  # All they log, unlimited.
    consumer = connection.consumer({}, {"group.id": "g"})
    consumer.poll(0)
    consumer.close()
    connection.producer({}).poll(0)
    connection.admin({}).poll(0)
    assert "CONFWARN" not in caplog.text


def test_clients_that_reach_nobody_say_so_once_in_a_while_and_no_more(
    caplog: pytest.LogCaptureFixture,
) -> None:
    often = {"reconnect.backoff.ms": 10, "reconnect.backoff.max.ms": 50}
    connection = Connection(NOBODY | often, ClientLog(LOGGER))
    clients: list[Consumer | Producer] = [
        connection.consumer({}, {"group.id": "g"}),
        connection.producer({}),
        TransactionalProducer(connection, {}, "id"),
    ]

    def told() -> bool:
        for each in clients:
            each.poll(0.05)
        return bool(caplog.records)

    eventually(told)
    for _ in range(10):
        told()
    found = [record.args[0] for record in caplog.records if isinstance(record.args, tuple)]
    assert len(found) == len(set(found))


class Lines:
    """A client's log whose time stands where a test puts it."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self.now = 0.0
        self._caplog = caplog
        client_log = ClientLog(LOGGER, seconds=10, clock=lambda: self.now)
        self.log, self.end = client_log.log, client_log.end

    def handed_on(self, kind: str, level: int = logging.WARNING) -> bool:
        self._caplog.clear()
        self.log(level, "%s [%s] %s", kind, "client", "text")
        return bool(self._caplog.records)


def test_a_kind_of_line_is_handed_on_once_in_a_while(caplog: pytest.LogCaptureFixture) -> None:
    lines = Lines(caplog)
    assert [*map(lines.handed_on, ("FAIL", "FAIL", "REQTMOUT"))] == [True, False, True]
    lines.now = 10.0
    assert [*map(lines.handed_on, ("FAIL", "FAIL"))] == [True, False]
    assert not lines.handed_on("CONFWARN")


def test_after_the_end_only_debug_is_handed_on(caplog: pytest.LogCaptureFixture) -> None:
    lines = Lines(caplog)
    lines.end()
    assert not lines.handed_on("FAIL")
    with caplog.at_level(logging.DEBUG, "clients"):
        assert lines.handed_on("STATE", logging.DEBUG)


def test_what_a_client_calls_an_error_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    assert Lines(caplog).handed_on("FAIL", logging.CRITICAL)
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert record.getMessage() == "FAIL [client] text"


def test_debug_is_handed_on_whole_and_what_nobody_hears_hides_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    lines = Lines(caplog)
    with caplog.at_level(logging.DEBUG, "clients"):
        assert [lines.handed_on("STATE", logging.DEBUG) for _ in range(2)] == [True, True]
    with caplog.at_level(logging.WARNING, "clients"):
        assert not lines.handed_on("FAIL", logging.INFO)
        assert lines.handed_on("FAIL")
