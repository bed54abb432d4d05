"""Secrets: from files, hidden wherever a setting is shown or refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from domination.errors import DominationError, Exit
from domination.settings import Settings, from_environment


@pytest.mark.parametrize(
    "property_",
    ["sasl.password", "ssl.key.password", "sasl.oauthbearer.client.secret", "ssl.key.pem"],
)
def test_secrets_are_hidden_and_other_properties_shown(property_: str) -> None:
    shown = dict(Settings(kafka={property_: "s3cret", "linger.ms": "7"}).shown())
    assert "s3cret" not in str(shown)
    assert shown["DOMINATION_KAFKA_LINGER_MS"] == "7"


@pytest.mark.parametrize("start", ["", "s", "9", "["])
@pytest.mark.parametrize("raw", "/?#")
def test_a_password_with_a_raw_character_of_urls_is_refused_and_not_shown(
    start: str, raw: str
) -> None:
    url = f"clickhouse://u:{start}{raw}3cret@h:9000/database"
    with pytest.raises(DominationError, match="DOMINATION_CLICKHOUSE_URL") as refused:
        from_environment({"DOMINATION_CLICKHOUSE_URL": url})
    assert refused.value.exit_code is Exit.SETTING
    assert "3cret" not in str(refused.value)


def test_the_password_of_clickhouse_at_kafka_is_hidden_and_its_user_is_shown() -> None:
    login = {"security_protocol": "SASL_SSL", "sasl_mechanism": "PLAIN", "sasl_username": "me"}
    given = {f"clickhouse_kafka_{name}": value for name, value in login.items()}
    shown = dict(Settings(**given, clickhouse_kafka_sasl_password="s3cret").shown())  # type: ignore[arg-type]
    assert shown["DOMINATION_CLICKHOUSE_KAFKA_SASL_PASSWORD"] == "********"
    assert shown["DOMINATION_CLICKHOUSE_KAFKA_SASL_USERNAME"] == "me"
    assert "s3cret" not in str(shown)


# A line end, as a secret read from a file may have it, is no part of a URL: the password works.
@pytest.mark.parametrize("password", ["s3cret", "s3cret@s3cret", "s3cret:s3cret", "s3cret\n"])
def test_the_password_in_a_url_is_hidden_and_the_rest_is_shown(password: str) -> None:
    url = f"clickhouse://u:{password}@h:9000/database"
    shown = dict(from_environment({"DOMINATION_CLICKHOUSE_URL": url}).shown())
    assert shown["DOMINATION_CLICKHOUSE_URL"] == "clickhouse://u:********@h:9000/database"


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("keypass=s3cret", "keypass=********"),
        (
            "verify=0&key%70ass=s3cret&compression=lz4",
            "verify=0&key%70ass=********&compression=lz4",
        ),
        ("password=s3cret?s3cret;s3cret\ns3cret=s3cret", "password=********"),
        ("token=s3cret&token=s3cret", "token=********&token=********"),
    ],
)
@pytest.mark.parametrize("user", ["u", "u:s3cret@s3cret"])
def test_what_the_query_of_a_url_may_keep_secret_is_hidden(
    query: str, shown: str, user: str
) -> None:
    url = f"clickhouses://{user}@h:9440/database?{query}"
    told = dict(from_environment({"DOMINATION_CLICKHOUSE_URL": url}).shown())
    at = "u:********@h" if ":" in user else "u@h"
    assert told["DOMINATION_CLICKHOUSE_URL"] == f"clickhouses://{at}:9440/database?{shown}"


@pytest.mark.parametrize("setting", ["GROUP", "INPUT_TOPIC", "HTTP", "KAFKA_SASL_PASSWORD"])
@pytest.mark.parametrize("form", ["{}=s3cret\udcff", "{}\udcff=s3cret"])
def test_what_is_not_utf8_is_one_line_and_not_shown(setting: str, form: str) -> None:
    name, _, value = f"DOMINATION_{form.format(setting)}".partition("=")
    with pytest.raises(DominationError, match="is not UTF-8") as told:
        from_environment({name: value})
    assert told.value.exit_code is Exit.SETTING
    assert "s3cret" not in str(told.value)


@pytest.mark.parametrize("end", ["", "\n"])
@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("DOMINATION_GROUP", "mine", "mine"),
        ("DOMINATION_KAFKA_SASL_PASSWORD", " s3cret \n", "********"),
        (
            "DOMINATION_CLICKHOUSE_URL",
            "clickhouse://u:s3cret@h:9000/database",
            "clickhouse://u:********@h:9000/database",
        ),
        # A property that ends in .file itself, and its value from a file.
        ("DOMINATION_KAFKA_SASL_OAUTHBEARER_ASSERTION_FILE", "/jwt", "/jwt"),
    ],
)
def test_a_value_may_come_from_a_file_and_is_hidden_as_ever(
    tmp_path: Path, name: str, value: str, shown: str, end: str
) -> None:
    file = tmp_path / "value"
    file.write_bytes(f"{value}{end}".encode())
    settings = from_environment({f"{name}_FILE": str(file)})
    if end:
        assert settings == from_environment({name: value})
    assert dict(settings.shown())[name] == shown


def test_a_property_of_librdkafka_that_names_a_file_is_left_to_it() -> None:
    name = "DOMINATION_KAFKA_SASL_OAUTHBEARER_ASSERTION_FILE"
    assert from_environment({name: "/jwt"}).kafka == {"sasl.oauthbearer.assertion.file": "/jwt"}


def test_a_value_given_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "value").write_text("x")
    twice = {"DOMINATION_GROUP": "x", "DOMINATION_GROUP_FILE": str(tmp_path / "value")}
    with pytest.raises(DominationError, match="DOMINATION_GROUP_FILE and DOMINATION_GROUP") as told:
        from_environment(twice)
    assert told.value.exit_code is Exit.SETTING


@pytest.mark.parametrize("content", [None, b"s3cret\xff", b"s3cret\0"])
def test_a_file_that_cannot_be_read_is_named_and_not_shown(
    tmp_path: Path, content: bytes | None
) -> None:
    file = tmp_path / "value"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(DominationError) as told:
        from_environment({"DOMINATION_KAFKA_SASL_PASSWORD_FILE": str(file)})
    assert told.value.exit_code is Exit.SETTING
    assert f"DOMINATION_KAFKA_SASL_PASSWORD_FILE: cannot read {file}: " in str(told.value)
    assert "s3cret" not in str(told.value)
    assert len(str(told.value).splitlines()) == 1


@pytest.mark.parametrize("kind", ["a pipe", "a device", "a directory", "a large file", "no path"])
def test_only_a_regular_file_of_a_sensible_size_is_read(tmp_path: Path, kind: str) -> None:
    file, why = tmp_path / "value", "it is not a regular file"
    if kind == "a pipe":
        os.mkfifo(file)
    elif kind == "a device":
        file = Path("/dev/zero")
    elif kind == "a directory":
        file.mkdir()
    elif kind == "a large file":
        file.write_bytes(b"x" * (1 << 20) + b"\n")
        why = "it is larger than 1 MiB"
    else:
        file, why = Path("a\0b"), "it is not a path"
    with pytest.raises(DominationError, match=why) as told:
        from_environment({"DOMINATION_GROUP_FILE": str(file)})
    assert told.value.exit_code is Exit.SETTING


def test_a_link_to_a_file_is_read_as_kubernetes_lays_secrets(tmp_path: Path) -> None:
    (tmp_path / "..data").mkdir()
    (tmp_path / "..data" / "value").write_text("mine\n")
    (tmp_path / "value").symlink_to("..data/value")
    given = {"DOMINATION_GROUP_FILE": str(tmp_path / "value")}
    assert from_environment(given).group == "mine"


def test_a_secret_in_the_place_of_another_value_is_not_shown(tmp_path: Path) -> None:
    file = tmp_path / "value"
    file.write_text("s3cret")
    for name in ("COMMIT_INTERVAL_SECONDS", "LOG_LEVEL", "HTTP", "CLICKHOUSE_URL", "NO_SUCH"):
        with pytest.raises(DominationError, match=name) as told:
            from_environment({f"DOMINATION_{name}_FILE": str(file)})
        assert "s3cret" not in str(told.value)
