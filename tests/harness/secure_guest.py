"""A pipeline of a user of the secure Kafka, with the rights that docs/operate.md asks for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from confluent_kafka.admin import AclOperation, ResourcePatternType, ResourceType

from domination.settings import Settings
from harness.pipeline import Pipeline
from harness.processes import ROOT
from harness.secure_kafka import CLICKHOUSE_PASSWORD, CLICKHOUSE_USER, PASSWORD, USER, Right

if TYPE_CHECKING:
    from pathlib import Path

    from harness.secure_kafka import SecureKafka

KINDS: Final = {
    "topic": (ResourceType.TOPIC, ResourcePatternType.LITERAL),
    "group": (ResourceType.GROUP, ResourcePatternType.LITERAL),
    "transactional ids that begin with": (
        ResourceType.TRANSACTIONAL_ID,
        ResourcePatternType.PREFIXED,
    ),
}
WORKER: Final = "A worker needs these ACLs"
MONITOR: Final = "The monitor needs these rights"
CLICKHOUSE: Final = "ClickHouse's user needs these ACLs"
"""What stands before the rights of each in docs/operate.md."""
ROW: Final = re.compile(rf"^\| ([A-Z]+) \| ({'|'.join(KINDS)}) `([^`]+)`", re.MULTILINE)


class Guest(Pipeline):
    """A pipeline that comes in by the secure door; its set-up and its oracle are the super user."""

    def __init__(self, kafka: SecureKafka, directory: Path) -> None:
        super().__init__(kafka.bootstrap_servers, directory)
        self.clickhouse_group = f"{self.group}-clickhouse"
        password = directory / "password"
        password.write_text(f"{PASSWORD}\n")
        self.environment |= {
            "DOMINATION_KAFKA_BOOTSTRAP_SERVERS": kafka.address,
            "DOMINATION_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "DOMINATION_KAFKA_SASL_MECHANISM": "SCRAM-SHA-256",
            "DOMINATION_KAFKA_SASL_USERNAME": USER,
            "DOMINATION_KAFKA_SASL_PASSWORD_FILE": str(password),
            "DOMINATION_KAFKA_SSL_CA_LOCATION": str(kafka.authority),
            "DOMINATION_CLICKHOUSE_GROUP": self.clickhouse_group,
        }

    def with_clickhouse(self) -> dict[str, str]:
        """Give the environment with ClickHouse's own login."""
        password = self._directory / "clickhouse-password"
        password.write_text(CLICKHOUSE_PASSWORD)
        login = {
            "SECURITY_PROTOCOL": "SASL_SSL",
            "SASL_MECHANISM": "PLAIN",
            "SASL_USERNAME": CLICKHOUSE_USER,
            "SASL_PASSWORD_FILE": str(password),
        }
        return self.environment | {
            f"DOMINATION_CLICKHOUSE_KAFKA_{name}": value for name, value in login.items()
        }

    def rights(self, whose: str = WORKER) -> dict[str, Right]:
        """Give the Kafka rights that docs/operate.md asks for, by the names they have there."""
        user = CLICKHOUSE_USER if whose == CLICKHOUSE else USER
        names = dict(zip(Settings().topics, (self.input, self.output, self.dead), strict=True))
        names |= {Settings().group: self.group, Settings().id_prefix: f"domination/{self.group}/"}
        names |= {Settings().clickhouse_group: self.clickhouse_group}
        _, _, follows = (ROOT / "docs" / "operate.md").read_text().partition(whose)
        table = follows.split("\n\n")[1]
        return {
            name: Right(AclOperation[operation], *_at(kind, names[name]), user)
            for operation, kind, name in ROW.findall(table)
        }


def _at(kind: str, name: str) -> tuple[ResourceType, str, ResourcePatternType]:
    resource, pattern = KINDS[kind]
    return resource, name, pattern
