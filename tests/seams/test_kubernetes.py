"""The manifests of deploy/kubernetes: what Kubernetes says of them, and what they say of us."""

from __future__ import annotations

from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import kubernetes_validate
import pytest
import yaml

from domination.cli.main import cli
from domination.exactly_once import presence, transactional, transactions, writer
from domination.settings import Settings, from_environment
from domination.worker.health import Health
from domination.worker.lifecycle import Lifecycle
from domination.worker.metrics import Metrics
from harness.commands import called
from harness.kafka_server import free_ports
from harness.processes import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

DIRECTORY: Final = ROOT / "deploy" / "kubernetes"


def resources() -> Iterator[dict[str, Any]]:
    for path in sorted(DIRECTORY.glob("*.yaml")):
        yield from yaml.safe_load_all(path.read_text())


ALL: Final = list(resources())
# The worker's file is the last, so of two of a kind this has the worker's.
RESOURCES: Final = {each["kind"]: each for each in ALL}
CONFIG: Final = RESOURCES["ConfigMap"]["data"]
PODS: Final = {
    each["metadata"]["name"]: each["spec"]["template"]["spec"]
    for each in ALL
    if each["kind"] in {"Deployment", "Job"}
}
SECRETS: Final = {
    each["metadata"]["name"]: each["stringData"] for each in ALL if each["kind"] == "Secret"
}
DEPLOYED: Final = sorted(PODS.keys() - {"domination-schema"})
POLICIES: Final = {
    each["metadata"]["name"]: each["spec"] for each in ALL if each["kind"] == "NetworkPolicy"
}
SELECTORS: Final = {"podSelector", "namespaceSelector"}
DNS: Final = {("UDP", 53), ("TCP", 53)}
POD: Final = PODS["domination"]
(WORKER,) = POD["containers"]
KEDA: Final = "keda.sh/v1alpha1"
"""Whose kinds Kubernetes itself does not know."""


@pytest.mark.parametrize(
    "resource",
    [each for each in ALL if each["apiVersion"] != KEDA],
    ids=lambda each: f"{each['kind']}-{each['metadata']['name']}",
)
def test_the_newest_kubernetes_takes_it_with_no_field_too_many(resource: dict[str, Any]) -> None:
    newest = kubernetes_validate.latest_version()
    kubernetes_validate.validate(resource, newest, strict=True)


def test_the_monitor_is_given_settings_and_finds_the_secret_that_they_name(tmp_path: Path) -> None:
    (monitor,) = PODS["domination-monitor"]["containers"]
    secret = SECRETS["domination-monitor"]
    for name, value in secret.items():
        (tmp_path / name).write_text(value)
    given = CONFIG | {each["name"]: each["value"] for each in monitor["env"]}
    local = {name: text.replace("/secrets", str(tmp_path)) for name, text in given.items()}
    settings = from_environment(local)
    assert settings.clickhouse_url == secret["clickhouse-url"]
    assert settings.monitor_address == ("0.0.0.0", monitor["ports"][0]["containerPort"])


def test_its_settings_are_settings(tmp_path_factory: pytest.TempPathFactory) -> None:
    secrets = tmp_path_factory.mktemp("secrets")
    for name, value in SECRETS["domination-kafka"].items():
        (secrets / name).write_text(value)
    environment = {name: text.replace("/secrets", str(secrets)) for name, text in CONFIG.items()}
    given = environment | {each["name"]: "pod" for each in WORKER["env"]}
    settings = from_environment(given)
    assert settings.kafka["sasl.username"] == SECRETS["domination-kafka"]["username"]
    assert (secrets / "ca.crt").samefile(settings.kafka["ssl.ca.location"])
    assert settings.instance == "pod"


def test_it_mounts_the_secret_where_its_settings_look_and_nothing_to_write_to() -> None:
    mounts = {each["name"]: each["mountPath"] for each in WORKER["volumeMounts"]}
    assert mounts == {"secrets": "/secrets"}
    volumes = {each["name"]: each for each in POD["volumes"]}
    assert volumes["secrets"]["secret"] == {"secretName": "domination-kafka"}


def test_the_worker_is_given_no_secret_that_its_settings_do_not_name() -> None:
    named = {Path(text).name for text in CONFIG.values() if text.startswith("/secrets/")}
    assert set(SECRETS["domination-kafka"]) == named
    assert set(SECRETS["domination-monitor"]) == named | {"clickhouse-url"}


def test_the_monitor_has_users_of_its_own() -> None:
    (volume,) = [
        each["secret"] for each in PODS["domination-monitor"]["volumes"] if "secret" in each
    ]
    assert volume == {"secretName": "domination-monitor"}
    users = [secret["username"] for secret in SECRETS.values()]
    assert len(set(users)) == len(SECRETS) == 3
    url = urlsplit(SECRETS["domination-monitor"]["clickhouse-url"])
    assert f"CREATE USER {url.username} " in (ROOT / "docs" / "operate.md").read_text()


def ports(rules: list[dict[str, Any]]) -> set[tuple[str, int | str]]:
    return {(port["protocol"], port["port"]) for rule in rules for port in rule["ports"]}


def test_the_tables_are_made_with_clickhouses_own_login(tmp_path: Path) -> None:
    pod, secret = PODS["domination-schema"], SECRETS["domination-clickhouse"]
    (container,), (volume,) = pod["containers"], pod["volumes"]
    assert container["args"] == ["schema", "apply"]
    assert volume["secret"] == {"secretName": "domination-clickhouse"}
    for name, value in secret.items():
        (tmp_path / name).write_text(value)
    given = {
        each["name"]: each["value"].replace("/secrets", str(tmp_path))
        for each in container["env"]
        if "value" in each
    }
    assert {Path(path).name for path in given.values() if path.startswith("/")} == set(secret)
    settings = from_environment(given)
    assert settings.clickhouse_url == secret["clickhouse-url"]
    assert settings.clickhouse_kafka_sasl_username == secret["username"]
    assert settings.clickhouse_kafka_sasl_password == secret["password"]
    # As the workers do, but for the user.
    for name in ("SECURITY_PROTOCOL", "SASL_MECHANISM"):
        assert given[f"DOMINATION_CLICKHOUSE_KAFKA_{name}"] == CONFIG[f"DOMINATION_KAFKA_{name}"]
    (taken,) = [each["valueFrom"] for each in container["env"] if "valueFrom" in each]
    assert taken["configMapKeyRef"]["key"] in CONFIG
    policy = POLICIES["domination-schema"]
    assert set(policy["policyTypes"]) == {"Ingress", "Egress"}
    assert "ingress" not in policy
    assert ports(policy["egress"]) == DNS | {("TCP", urlsplit(secret["clickhouse-url"]).port)}


@pytest.mark.parametrize("name", DEPLOYED)
def test_each_pod_is_reached_at_its_one_port_and_reaches_its_servers_alone(name: str) -> None:
    policy, (container,) = POLICIES[name], PODS[name]["containers"]
    (deployment,) = [
        each["spec"]
        for each in ALL
        if each["kind"] == "Deployment" and each["metadata"]["name"] == name
    ]
    assert policy["podSelector"] == deployment["selector"]
    assert set(policy["policyTypes"]) == {"Ingress", "Egress"}
    assert ports(policy["ingress"]) == {("TCP", port["name"]) for port in container["ports"]}
    # Nobody from outside the cluster.
    assert all(set(peer) <= SELECTORS for rule in policy["ingress"] for peer in rule["from"])
    kafka = CONFIG["DOMINATION_KAFKA_BOOTSTRAP_SERVERS"].rpartition(":")[2]
    servers = {("TCP", int(kafka))}
    if name == "domination-monitor":
        url = urlsplit(SECRETS["domination-monitor"]["clickhouse-url"])
        servers |= {("TCP", url.port or 0)}
    assert ports(policy["egress"]) == DNS | servers


def test_the_page_without_a_password_is_reached_by_a_proxy_that_is_named_alone() -> None:
    ((rule,), page) = POLICIES["domination-monitor"]["ingress"], (ROOT / "docs" / "operate.md")
    ((key, label),) = rule["from"][0]["podSelector"]["matchLabels"].items()
    assert len(rule["from"]) == 1
    assert f"`{key}: {label}`" in page.read_text()


def test_its_probes_ask_what_a_worker_answers_where_it_listens() -> None:
    (port,) = free_ports(1)
    settings = Settings(http=str(port))
    Health(settings, Lifecycle(), Metrics(settings), {})
    probes = {
        name: WORKER[f"{name}Probe"]["httpGet"] for name in ("liveness", "readiness", "startup")
    }
    for probe in probes.values():
        asked = HTTPConnection("127.0.0.1", port, timeout=120)
        asked.request("GET", probe["path"])
        assert asked.getresponse().status in {200, 503}
        asked.close()
        assert probe["port"] == WORKER["ports"][0]["name"]
    # One that waits for its broker must not be started again for it.
    assert {probes["liveness"]["path"], probes["startup"]["path"]} == {"/healthz"}
    listens = CONFIG["DOMINATION_HTTP"].split(":")
    assert listens == ["0.0.0.0", str(WORKER["ports"][0]["containerPort"])]
    annotations = RESOURCES["Deployment"]["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == listens[1]


@pytest.mark.parametrize("name", PODS)
def test_it_runs_as_nobody_on_files_that_it_cannot_change(name: str) -> None:
    pod = PODS[name]
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not pod["automountServiceAccountToken"]
    context = pod["containers"][0]["securityContext"]
    assert context["readOnlyRootFilesystem"]
    assert not context["allowPrivilegeEscalation"]
    assert context["capabilities"] == {"drop": ["ALL"]}


@pytest.mark.parametrize("name", PODS)
def test_no_service_of_its_namespace_puts_variables_into_it(name: str) -> None:
    assert PODS[name]["enableServiceLinks"] is False


def test_it_is_given_longer_to_end_than_a_worker_takes_whose_broker_does_not_answer() -> None:
    writes = transactional.QUEUE_SECONDS + writer.ANSWER_SECONDS
    offsets = max(transactions.OFFSETS_SECONDS) + writer.HANG_SECONDS
    commits = offsets + presence.LAST_CALL_SECONDS
    leaves = transactions.ABORT_SECONDS + 2 * presence.LEAVE_SECONDS
    assert POD["terminationGracePeriodSeconds"] > writes + commits + leaves


def test_what_selects_its_pods_does_so_by_their_labels() -> None:
    labels = RESOURCES["Deployment"]["spec"]["template"]["metadata"]["labels"]
    (spread,) = POD["topologySpreadConstraints"]
    for selector in (
        RESOURCES["Deployment"]["spec"]["selector"],
        RESOURCES["PodDisruptionBudget"]["spec"]["selector"],
        spread["labelSelector"],
    ):
        assert selector["matchLabels"].items() <= labels.items()


def test_keda_scales_it_by_the_lag_of_the_same_group_on_the_same_brokers() -> None:
    scaled, settings = RESOURCES["ScaledObject"], Settings()
    assert scaled["apiVersion"] == RESOURCES["TriggerAuthentication"]["apiVersion"] == KEDA
    spec = scaled["spec"]
    assert spec["scaleTargetRef"] == {"name": RESOURCES["Deployment"]["metadata"]["name"]}
    (trigger,) = spec["triggers"]
    told = trigger["metadata"]
    assert trigger["type"] == "kafka"
    assert all(type(value) is str for value in told.values())
    assert (told["consumerGroup"], told["topic"]) == (settings.group, settings.input_topic)
    assert told["bootstrapServers"] == CONFIG["DOMINATION_KAFKA_BOOTSTRAP_SERVERS"]
    assert int(told["lagThreshold"]) > 0
    mechanism = CONFIG["DOMINATION_KAFKA_SASL_MECHANISM"]
    assert told["sasl"] == mechanism.lower().replace("-", "_").replace("sha_", "sha")
    assert (told["tls"] == "enable") == CONFIG["DOMINATION_KAFKA_SECURITY_PROTOCOL"].endswith("SSL")
    # A worker more than there are partitions has nothing to do.
    topics = called(cli, "topics")
    partitions = next(each for each in topics.params if each.name == "partitions")
    assert 0 < spec["minReplicaCount"] <= spec["maxReplicaCount"] <= partitions.default
    # Where its number is given as well, each apply puts it back.
    assert "replicas" not in RESOURCES["Deployment"]["spec"]


def test_keda_is_let_in_by_the_same_secret() -> None:
    authentication = RESOURCES["TriggerAuthentication"]
    (trigger,) = RESOURCES["ScaledObject"]["spec"]["triggers"]
    assert trigger["authenticationRef"]["name"] == authentication["metadata"]["name"]
    references = authentication["spec"]["secretTargetRef"]
    assert {each["name"] for each in references} == {"domination-kafka"}
    assert {each["key"] for each in references} <= set(SECRETS["domination-kafka"])
    assert {each["parameter"] for each in references} == {"username", "password", "ca"}
