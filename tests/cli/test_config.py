"""What is wrong with the properties of Kafka's clients, told without a broker."""

from __future__ import annotations

import re

import pytest

from domination.cli.main import main
from domination.settings import environment_name

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
    ("property_", "kafka"),
    [
        # A client refuses the second alone, but takes it with the third.
        (
            "foo.bar",
            {"FOO_BAR": "1", "SECURITY_PROTOCOL": "SASL_SSL", "SASL_MECHANISM": "PLAIN"},
        ),
        ("ssl.ca.location", {"SECURITY_PROTOCOL": "SSL", "SSL_CA_LOCATION": "/no/such/file"}),
        # One that is not there is named where a client says that it has to be.
        (
            "sasl.password",
            {"SECURITY_PROTOCOL": "SASL_SSL", "SASL_MECHANISM": "PLAIN", "SASL_USERNAME": "x"},
        ),
    ],
)
def test_of_several_properties_the_wrong_one_is_named_and_the_settings_are_shown(
    property_: str,
    kafka: dict[str, str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in kafka.items():
        monkeypatch.setenv(f"DOMINATION_KAFKA_{name}", value)
    assert main(["config"]) == 78
    shown, told = capsys.readouterr()
    assert all(f"DOMINATION_KAFKA_{name}={value}" in shown for name, value in kafka.items())
    assert property_ in told
    (named,) = re.findall(r"DOMINATION_\w+", told)
    assert named == environment_name(f"kafka.{property_}")


@pytest.mark.parametrize(
    ("kafka", "names"),
    [
        (
            {"SECURITY_PROTOCOL": "SASL_SSL", "SASL_MECHANISM": "FOO"},
            {"SECURITY_PROTOCOL", "SASL_MECHANISM"},
        ),
        (
            {"SECURITY_PROTOCOL": "SASL_SSL", "SASL_MECHANISM": "PLAIN"},
            {"SASL_USERNAME", "SASL_PASSWORD"},
        ),
    ],
)
def test_of_a_fault_for_which_a_client_names_no_property_that_is_set_the_variables_are_named(
    kafka: dict[str, str],
    names: set[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in kafka.items():
        monkeypatch.setenv(f"DOMINATION_KAFKA_{name}", value)
    assert main(["config"]) == 78
    named = re.findall(r"DOMINATION_\w+", capsys.readouterr().err)
    assert set(named) == {f"DOMINATION_KAFKA_{name}" for name in names}
