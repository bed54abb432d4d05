"""A Kafka that trusts nobody: TLS by an authority of its own, passwords or tokens, and ACLs."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from harness.kafka_server import KafkaServer, free_ports
from harness.processes import PATIENT_SECONDS, eventually

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

USER: Final = "overlord"
PASSWORD: Final = "pa55word-never-printed"
CLICKHOUSE_USER: Final = "scribe"
CLICKHOUSE_PASSWORD: Final = "it's-never-printed"
"""Those of ClickHouse, by PLAIN: the core in the tests is built without SCRAM."""
_STORE_PASSWORD: Final = "store-pa55word"

# The listener without TLS is the super user's: the broker's own, and that of the tests' set-up.
_PROPERTIES: Final = """\
listeners=PLAINTEXT://127.0.0.1:{{port}},CONTROLLER://127.0.0.1:{{controller}},SASL_SSL://{address}
advertised.listeners=PLAINTEXT://127.0.0.1:{{port}},SASL_SSL://{address}
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL
sasl.enabled.mechanisms=SCRAM-SHA-256,PLAIN,OAUTHBEARER
listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config=\
org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.sasl_ssl.plain.sasl.jaas.config=\
org.apache.kafka.common.security.plain.PlainLoginModule required user_{user}="{password}";
listener.name.sasl_ssl.oauthbearer.sasl.jaas.config=\
org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required;
ssl.keystore.type=PKCS12
ssl.keystore.location={store}
ssl.keystore.password={store_password}
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
"""


@dataclass(frozen=True)
class Right:
    """What an ACL allows a user: an operation on a resource of this name, or of this prefix."""

    operation: AclOperation
    kind: ResourceType
    name: str
    pattern: ResourcePatternType = ResourcePatternType.LITERAL
    user: str = USER


class SecureKafka(KafkaServer):
    """A broker that lets in only who has a password or a token, over TLS, to what he may.

    A token needs no signature.
    """

    def __init__(self, directory: Path) -> None:
        self.address = f"127.0.0.1:{free_ports(1)[0]}"
        self.authority = _authority(directory, "authority")
        self.other_authority = _authority(directory, "other-authority")
        _certify(directory, "authority")
        properties = _PROPERTIES.format(
            address=self.address,
            store=_store(directory, "authority"),
            store_password=_STORE_PASSWORD,
            user=CLICKHOUSE_USER,
            password=CLICKHOUSE_PASSWORD,
        )
        user = f"SCRAM-SHA-256=[name={USER},password={PASSWORD}]"
        super().__init__(directory, properties, "--add-scram", user)
        self._admin = AdminClient({"bootstrap.servers": self.bootstrap_servers, "log_level": 0})

    def allow(self, rights: Iterable[Right]) -> None:
        """Allow this, and wait until the broker does: its controller says so earlier."""
        allowed = list(rights)
        for made in self._admin.create_acls(
            [AclBinding(*_fields(each)) for each in allowed]
        ).values():
            made.result(PATIENT_SECONDS)
        eventually(lambda: all(map(self._allows, allowed)), what="the broker's new ACLs")

    def deny(self, rights: Iterable[Right]) -> None:
        """Allow this no more, and wait until the broker does not."""
        denied = list(rights)
        for gone in self._admin.delete_acls(
            [AclBindingFilter(*_fields(each)) for each in denied]
        ).values():
            assert gone.result(PATIENT_SECONDS)
        eventually(lambda: not any(map(self._allows, denied)), what="the end of the broker's ACLs")

    def _allows(self, right: Right) -> bool:
        asked = self._admin.describe_acls(AclBindingFilter(*_fields(right)))
        return bool(asked.result(PATIENT_SECONDS))


def _authority(directory: Path, name: str) -> Path:
    """Make an authority; give the file of its certificate, which its clients trust."""
    _keytool(directory, name, "-genkeypair", "-alias", name, "-dname", f"CN={name}", "-ext", "bc:c")
    certificate = directory / f"{name}.pem"
    _keytool(directory, name, "-exportcert", "-rfc", "-alias", name, "-file", str(certificate))
    return certificate


def _certify(directory: Path, authority: str) -> None:
    """Let an authority certify a broker; its store is then the broker's alone."""
    broker = ("-alias", "broker", "-dname", "CN=broker", "-ext", "san=ip:127.0.0.1")
    _keytool(directory, authority, "-genkeypair", *broker, "-signer", authority)
    _keytool(directory, authority, "-delete", "-alias", authority)


def _store(directory: Path, name: str) -> Path:
    return directory / f"{name}.p12"


def _keytool(directory: Path, store: str, command: str, *arguments: str) -> None:
    key = ("-keyalg", "EC") if command == "-genkeypair" else ()
    at = ("-keystore", str(_store(directory, store)), "-storepass", _STORE_PASSWORD)
    subprocess.run(["keytool", command, *arguments, *key, *at], check=True, capture_output=True)


def _fields(right: Right) -> tuple[Any, ...]:
    """Give what an ACL and the filter that finds it are made of."""
    whom = (f"User:{right.user}", "*")
    return (right.kind, right.name, right.pattern, *whom, right.operation, AclPermissionType.ALLOW)
