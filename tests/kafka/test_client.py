"""How clients are made."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from domination.kafka.client import Connection

if TYPE_CHECKING:
    import pytest


def test_no_client_is_given_properties_of_another_kind_of_client(
    caplog: pytest.LogCaptureFixture,
) -> None:
    connection = Connection({"bootstrap.servers": "127.0.0.1:1"}, logging.getLogger("clients"))
    consumer = connection.consumer({}, {"group.id": "g"})
    consumer.poll(0)
    consumer.close()
    connection.producer({}).poll(0)
    connection.admin({}).poll(0)
    assert "CONFWARN" not in caplog.text
