"""Settings: from the environment, refused where they cannot work."""

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


def of_service(name: str, address: str = "10.0.0.7", port: int = 8080) -> dict[str, str]:
    """Give what Kubernetes sets for a Service with one port that has a name."""
    url = f"tcp://{address}:{port}"
    ends = {
        "SERVICE_HOST": address,
        "SERVICE_PORT": str(port),
        "SERVICE_PORT_FILE": str(port),
        "PORT": url,
        f"PORT_{port}_TCP": url,
        f"PORT_{port}_TCP_PROTO": "tcp",
        f"PORT_{port}_TCP_PORT": str(port),
        f"PORT_{port}_TCP_ADDR": address,
    }
    return {f"{name}_{end}": text for end, text in ends.items()}


@pytest.mark.parametrize(
    "service", ["DOMINATION", "DOMINATION_MONITOR", "DOMINATION_KAFKA", "DOMINATION_GROUP_PORT"]
)
@pytest.mark.parametrize("address", ["10.0.0.7", "[fd00::7]"])
def test_what_kubernetes_sets_for_a_service_is_not_a_setting(service: str, address: str) -> None:
    environment = of_service(service, address) | {"DOMINATION_GROUP": "mine"}
    assert from_environment(environment) == Settings(group="mine")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        # No Service has set these: it sets all of a family, and a URL for X_PORT.
        ("DOMINATION_MONITOR_PORT", "8080"),
        ("DOMINATION_WORKER_PORT", "tcp://10.0.0.7:8080"),
        ("DOMINATION_WORKER_SERVICE_HOST", "10.0.0.7"),
        ("DOMINATION_MONITOR_PORTS", "tcp://10.0.0.7:8080"),
        ("DOMINATION_MONITOR_PORT_8080", "tcp://10.0.0.7:8080"),
        ("DOMINATION_MONITOR_HOST", "10.0.0.7"),
    ],
)
def test_a_name_that_only_looks_like_that_of_a_service_is_refused(name: str, value: str) -> None:
    with pytest.raises(DominationError, match=f"{name} is not a setting"):
        from_environment(of_service("DOMINATION_MONITOR") | {name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DOMINATION_TOPIC", "x"),
        ("DOMINATION_INPUT_TOPIC", ""),
        ("DOMINATION_INPUT_TOPIC", "shadow"),
        ("DOMINATION_GROUP", " "),
        ("DOMINATION_GROUP", "g" * 33_000),
        ("DOMINATION_GROUP", "€" * 1_334),
        ("DOMINATION_INSTANCE", "i" * 33_000),
        ("DOMINATION_CLICKHOUSE_GROUP", "g" * 33_000),
        *((f"DOMINATION_{topic}_TOPIC", "t" * 250) for topic in ("INPUT", "OUTPUT", "DEAD_LETTER")),
        *(("DOMINATION_INPUT_TOPIC", topic) for topic in ("a b", "a/b", "ä", ".", "..", "a\n")),
        ("DOMINATION_COMMIT_INTERVAL_SECONDS", "soon"),
        ("DOMINATION_COMMIT_INTERVAL_SECONDS", "nan"),
        ("DOMINATION_COMMIT_INTERVAL_SECONDS", "0"),
        ("DOMINATION_COMMIT_INTERVAL_SECONDS", "6"),
        ("DOMINATION_AVAILABILITY_TIMEOUT_SECONDS", "-1"),
        *(
            (name, address)
            for name in ("DOMINATION_HTTP", "DOMINATION_MONITOR")
            for address in (
                *(":", ":9100", "host", "host:", "host:x", "host:99999", "host:-1", "99999"),
                *("1:2:3", "::1", "::1:9100", "[::1]", "[::1]:", "[::1]9100", "[x]:9100"),
                *("http://host:9100", "host:9100/", "a b:9100", "[]:9100", "host:9100\n"),
            )
        ),
        *(("DOMINATION_CLICKHOUSE_CONSUMERS", count) for count in ("0", "-1", "17", "1.5", "")),
        *(
            ("DOMINATION_CLICKHOUSE_TTL_DAYS", days)
            for days in ("-1", "10001", "1.5", "", "soon", "9" * 5_000)
        ),
        *(
            ("DOMINATION_CLICKHOUSE_BROKEN_TTL_DAYS", days)
            for days in ("0", "-1", "10001", "1.5", "", "soon", "9" * 5_000)
        ),
        *(
            (f"DOMINATION_{name}", brokers)
            for name in ("KAFKA_BOOTSTRAP_SERVERS", "CLICKHOUSE_KAFKA_BROKERS")
            for brokers in (
                *("localhost:abc", "localhost:", "localhost:0", "localhost:65536", "a:1:2", ","),
                *("a:1,b:x", "::1", "::1:9092", "[::1", "[x]:1", "a b:1", "a:1 b:2", "a:-1"),
                *("http://a:1", "://a:1", "a:1/path", "user:secret@a:1", "a:9092x"),
            )
        ),
        *(
            ("DOMINATION_CLICKHOUSE_KAFKA_SECURITY_PROTOCOL", protocol)
            for protocol in ("SASL", "TLS", "SASL-SSL", "SASL_SSL,SSL")
        ),
        ("DOMINATION_MONITOR", ""),
        ("DOMINATION_MONITOR", "here:soon"),
        ("DOMINATION_LOG_LEVEL", "loud"),
        ("DOMINATION_LOG_FORMAT", "xml"),
        ("DOMINATION_CLICKHOUSE_URL", ""),
        ("DOMINATION_CLICKHOUSE_URL", "x"),
        ("DOMINATION_CLICKHOUSE_URL", "http://x"),
        ("DOMINATION_CLICKHOUSE_URL", "clickhouse://"),
        ("DOMINATION_CLICKHOUSE_URL", "clickhouse://h:port"),
        ("DOMINATION_CLICKHOUSE_URL", "clickhouse://h:0"),
        ("DOMINATION_CLICKHOUSE_URL", "clickhouse://h:65536"),
        ("DOMINATION_CLICKHOUSE_URL", "clickhouse://h..x"),
        ("DOMINATION_KAFKA_ENABLE_AUTO_COMMIT", "true"),
        ("DOMINATION_KAFKA_ISOLATION_LEVEL", "read_uncommitted"),
        ("DOMINATION_KAFKA_TRANSACTIONAL_ID", "x"),
        ("DOMINATION_KAFKA_GROUP_ID", "x"),
        ("DOMINATION_KAFKA_ACKS", "1"),
        ("DOMINATION_KAFKA_DELIVERY_REPORT_ONLY_ERROR", "true"),
    ],
)
def test_a_setting_that_cannot_work_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(DominationError, match=name) as refused:
        from_environment({name: value})
    assert refused.value.exit_code is Exit.SETTING


@pytest.mark.parametrize(
    "brokers",
    [
        *("localhost", "localhost:9092", "a:1,b:2", " a:1, b:2 ,", "10.0.0.7:65535", "a_b-c.d:1"),
        *("[::1]", "[::1]:9092", "a:1,[fe80::1%eth0]:2", "PLAINTEXT://a:1", "sasl_ssl://[::1]:1"),
    ],
)
def test_brokers_are_taken_as_a_client_takes_them(brokers: str) -> None:
    assert Settings(bootstrap_servers=brokers).bootstrap_servers == brokers


@pytest.mark.parametrize("lacking", ["PASSWORD", "USERNAME", "MECHANISM"])
def test_half_a_login_of_clickhouse_is_refused_by_the_name_of_what_it_lacks(lacking: str) -> None:
    start = "DOMINATION_CLICKHOUSE_KAFKA_"
    login = {"SASL_MECHANISM": "PLAIN", "SASL_USERNAME": "u", "SASL_PASSWORD": "s3cret"}
    whole = {start + name: value for name, value in login.items()}
    whole[f"{start}SECURITY_PROTOCOL"] = "sasl_ssl"
    assert from_environment(whole).clickhouse_kafka_sasl_password == "s3cret"
    assert "s3cret" not in repr(from_environment(whole))
    del whole[f"{start}SASL_{lacking}"]
    with pytest.raises(DominationError, match=f"^{start}SASL_{lacking} must be set") as refused:
        from_environment(whole)
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize("protocol", [None, "SSL", "PLAINTEXT"])
def test_a_login_of_clickhouse_that_its_client_would_leave_out_is_refused(
    protocol: str | None,
) -> None:
    given = {"DOMINATION_CLICKHOUSE_KAFKA_SASL_MECHANISM": "GSSAPI"}
    if protocol:
        given["DOMINATION_CLICKHOUSE_KAFKA_SECURITY_PROTOCOL"] = protocol
    with pytest.raises(DominationError, match="_SECURITY_PROTOCOL must be SASL_SSL or "):
        from_environment(given)


@pytest.mark.parametrize("protocol", ["", "SASL_SSL://"])
def test_a_password_among_the_brokers_is_not_shown(protocol: str) -> None:
    with pytest.raises(DominationError) as refused:
        from_environment({"DOMINATION_KAFKA_BOOTSTRAP_SERVERS": f"{protocol}me:s3cret@a:9092"})
    assert "s3cret" not in str(refused.value)


def test_a_name_as_long_as_kafka_takes_it_is_taken() -> None:
    settings = Settings(input_topic="t" * 249, group="€" * 1_333, instance="i" * 4_000)
    assert len(settings.id_prefix.encode()) < 4_100


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("COMMIT_INTERVAL_SECONDS", "500ms"),
        ("COMMIT_INTERVAL_SECONDS", "500"),
        ("AVAILABILITY_TIMEOUT_SECONDS", "-1"),
        ("LOG_LEVEL", "loud"),
        ("LOG_FORMAT", "xml"),
        ("HTTP", "here:soon"),
        ("DEAD_LETTER_TOPIC", "dominate"),
    ],
)
def test_a_value_that_does_not_fit_is_shown(name: str, value: str) -> None:
    with pytest.raises(DominationError) as refused:
        from_environment({f"DOMINATION_{name}": value})
    assert str(refused.value).startswith(f"DOMINATION_{name} ")
    assert str(refused.value).endswith(f"; it is '{value}'")


def test_of_a_long_value_that_does_not_fit_only_the_beginning_is_shown() -> None:
    with pytest.raises(DominationError) as refused:
        from_environment({"DOMINATION_GROUP": "begin" + "g" * 33_000})
    assert "; it is 'begin" in str(refused.value)
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize(
    ("topics", "named"),
    [
        ({"DEAD_LETTER_TOPIC": "dominate"}, "DOMINATION_INPUT_TOPIC"),
        ({"DEAD_LETTER_TOPIC": "shadow"}, "DOMINATION_OUTPUT_TOPIC"),
        (
            {"INPUT_TOPIC": "a", "OUTPUT_TOPIC": "b", "DEAD_LETTER_TOPIC": "b"},
            "DOMINATION_OUTPUT_TOPIC",
        ),
    ],
)
def test_of_two_topics_that_are_one_both_are_named_and_the_third_is_not(
    topics: dict[str, str], named: str
) -> None:
    with pytest.raises(DominationError) as refused:
        from_environment({f"DOMINATION_{name}": topic for name, topic in topics.items()})
    told = str(refused.value)
    assert told.startswith(f"DOMINATION_DEAD_LETTER_TOPIC must differ from {named}; it is ")


def test_words_may_be_written_in_capitals() -> None:
    settings = from_environment({"DOMINATION_LOG_LEVEL": "INFO", "DOMINATION_LOG_FORMAT": "Json"})
    assert settings == Settings(log_level="info", log_format="json")


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("9100", ("127.0.0.1", 9100)),
        ("0", ("127.0.0.1", 0)),
        ("0.0.0.0:9100", ("0.0.0.0", 9100)),
        ("some-host.example:65535", ("some-host.example", 65535)),
        ("[::1]:8080", ("::1", 8080)),
        ("[::]:8080", ("::", 8080)),
        ("[fe80::1%eth0]:8080", ("fe80::1%eth0", 8080)),
    ],
)
def test_an_address_is_a_port_alone_or_one_with_its_host(
    text: str, address: tuple[str, int]
) -> None:
    settings = Settings(http=text, monitor=text)
    assert settings.http_address == settings.monitor_address == address


@pytest.mark.parametrize(
    ("url", "works"),
    [
        ("", True),
        ("https://monitor.example.com/domination/", True),
        ("http://h:8080", True),
        ("https://[::1]:8443/a/b", True),
        ("monitor.example.com", False),
        ("ftp://h/", False),
        ("https://user:word@h/", False),
        ("https://h/a?b", False),
        ("https://h//evil.example", False),
        ("https://h/../x", False),
        ("https://h:99999/", False),
        ('https://h/"><script>', False),
        ("https://h/\n", False),
    ],
)
def test_the_url_behind_a_proxy_is_one_or_is_refused(url: str, *, works: bool) -> None:
    environment = {"DOMINATION_MONITOR_URL": url}
    if works:
        assert from_environment(environment).monitor_url == url
        return
    with pytest.raises(DominationError, match="DOMINATION_MONITOR_URL"):
        from_environment(environment)
