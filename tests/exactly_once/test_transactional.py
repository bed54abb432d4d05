"""What a call of a producer raises, when it hears of a fatal error on the way."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaError, KafkaException

from domination.exactly_once.transactional import serving

FATAL = KafkaError(KafkaError._FATAL, "gone")


def bare() -> None:
    raise FATAL  # type: ignore[misc]


def hidden() -> None:
    raise SystemError("returned a result with an exception set") from KafkaException(FATAL)


@pytest.mark.parametrize("call", [bare, hidden])
def test_a_fatal_error_is_raised_as_what_every_caller_catches(call: object) -> None:
    assert callable(call)
    with pytest.raises(KafkaException) as raised:
        serving(call)
    assert raised.value.args[0].code() == KafkaError._FATAL


def test_any_other_error_of_the_system_stays_what_it_is() -> None:
    def call() -> None:
        raise SystemError("another")

    with pytest.raises(SystemError, match="another"):
        serving(call)
