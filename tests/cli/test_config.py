"""What is wrong with the properties of Kafka's clients, told without a broker."""

from __future__ import annotations

import re

import pytest

from domination.cli.main import main

pytestmark = pytest.mark.usefixtures("no_settings")


@pytest.mark.parametrize("command", [["config"], ["check", "kafka"]], ids=" ".join)
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SESSION_TIMEOUT_MS", "700000"),
        ("FETCH_MAX_BYTES", "1"),
        ("MESSAGE_TIMEOUT_MS", "99999999"),
    ],
)
def test_what_only_a_consumer_or_a_producer_of_a_worker_refuses_is_found_without_a_broker(
    name: str,
    value: str,
    command: list[str],
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(f"DOMINATION_KAFKA_{name}", value)
    assert main(command) == 78
    told = "".join(capfd.readouterr()).splitlines()
    assert f"check DOMINATION_KAFKA_{name}" in told[-1]


@pytest.mark.parametrize(
    ("kafka", "wrong", "said"),
    [
        # A client refuses the second alone, but takes it with the third.
        (
            {"FOO_BAR": "1", "SECURITY_PROTOCOL": "SASL_SSL", "SASL_MECHANISM": "PLAIN"},
            ["FOO_BAR"],
            '"foo.bar"',
        ),
        (
            {"SECURITY_PROTOCOL": "SSL", "SSL_CA_LOCATION": "/no/such/file"},
            ["SSL_CA_LOCATION"],
            "ssl.ca.location",
        ),
        # One that is not there is named where a client says that it has to be.
        (
            {"SECURITY_PROTOCOL": "SASL_SSL", "SASL_MECHANISM": "PLAIN", "SASL_USERNAME": "x"},
            ["SASL_PASSWORD"],
            "sasl.password",
        ),
        # Here a client names no property that is set.
        (
            {"SECURITY_PROTOCOL": "SASL_SSL", "SASL_MECHANISM": "FOO"},
            ["SECURITY_PROTOCOL", "SASL_MECHANISM"],
            "mechanism: FOO",
        ),
        (
            {"SECURITY_PROTOCOL": "SASL_SSL", "SASL_MECHANISM": "PLAIN"},
            ["SASL_USERNAME", "SASL_PASSWORD"],
            "sasl.username and sasl.password",
        ),
    ],
)
def test_of_several_properties_the_wrong_ones_are_named_and_the_settings_are_shown(
    kafka: dict[str, str],
    wrong: list[str],
    said: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in kafka.items():
        monkeypatch.setenv(f"DOMINATION_KAFKA_{name}", value)
    assert main(["config"]) == 78
    shown, told = capsys.readouterr()
    assert all(f"DOMINATION_KAFKA_{name}={value}" in shown for name, value in kafka.items())
    assert said in told
    assert re.findall(r"DOMINATION_\w+", told) == [f"DOMINATION_KAFKA_{name}" for name in wrong]
