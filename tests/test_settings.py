"""Settings: from the environment, refused where they cannot work, secrets hidden."""

from __future__ import annotations

import pytest

from domination.errors import DominationError, Exit
from domination.settings import Settings, from_environment


def test_nothing_set_means_the_defaults() -> None:
    assert from_environment({"PATH": "/bin"}) == Settings()


def test_each_setting_has_the_environment_name_that_config_shows() -> None:
    shown = dict(Settings(instance="i").shown())
    assert shown.pop("DOMINATION_KAFKA_BOOTSTRAP_SERVERS") == "localhost:9092"
    again = from_environment(shown | {"DOMINATION_KAFKA_BOOTSTRAP_SERVERS": "localhost:9092"})
    assert again == Settings(instance="i")


def test_any_librdkafka_property_is_a_setting() -> None:
    settings = from_environment(
        {"DOMINATION_KAFKA_SASL_PASSWORD": "x", "DOMINATION_KAFKA_LINGER_MS": "1"}
    )
    assert settings.kafka == {"sasl.password": "x", "linger.ms": "1"}


def test_a_flag_wins_over_the_environment_and_one_not_given_does_not() -> None:
    environment = {"DOMINATION_LOG_LEVEL": "error", "DOMINATION_LOG_FORMAT": "json"}
    settings = from_environment(environment, log_level="debug", log_format=None)
    assert (settings.log_level, settings.log_format) == ("debug", "json")


def test_what_is_for_the_tests_is_not_a_setting() -> None:
    assert from_environment({"DOMINATION_TEST_BOOTSTRAP_SERVERS": "x"}) == Settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DOMINATION_TOPIC", "x"),
        ("DOMINATION_INPUT_TOPIC", ""),
        ("DOMINATION_INPUT_TOPIC", "shadow"),
        ("DOMINATION_GROUP", " "),
        ("DOMINATION_COMMIT_INTERVAL_SECONDS", "soon"),
        ("DOMINATION_COMMIT_INTERVAL_SECONDS", "nan"),
        ("DOMINATION_COMMIT_INTERVAL_SECONDS", "0"),
        ("DOMINATION_COMMIT_INTERVAL_SECONDS", "6"),
        ("DOMINATION_AVAILABILITY_TIMEOUT_SECONDS", "-1"),
        ("DOMINATION_LOG_LEVEL", "loud"),
        ("DOMINATION_LOG_FORMAT", "xml"),
        ("DOMINATION_KAFKA_ENABLE_AUTO_COMMIT", "true"),
        ("DOMINATION_KAFKA_ISOLATION_LEVEL", "read_uncommitted"),
        ("DOMINATION_KAFKA_TRANSACTIONAL_ID", "x"),
        ("DOMINATION_KAFKA_GROUP_ID", "x"),
        ("DOMINATION_KAFKA_ACKS", "1"),
    ],
)
def test_a_setting_that_cannot_work_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(DominationError, match=name) as refused:
        from_environment({name: value})
    assert refused.value.exit_code is Exit.SETTING


@pytest.mark.parametrize(
    "property_",
    ["sasl.password", "ssl.key.password", "sasl.oauthbearer.client.secret", "ssl.key.pem"],
)
def test_secrets_are_hidden_and_other_properties_shown(property_: str) -> None:
    shown = dict(Settings(kafka={property_: "s3cret", "linger.ms": "7"}).shown())
    assert "s3cret" not in str(shown)
    assert shown["DOMINATION_KAFKA_LINGER_MS"] == "7"
