"""A real ClickHouse for the tests, without Docker: Debian 12's own package, 18.16.

It speaks the native protocol and knows users, rights and MergeTree, but is too old for us.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from typing import TYPE_CHECKING
from urllib.parse import quote

from domination.clickhouse import schema
from domination.settings import Settings
from harness.kafka_server import free_ports

if TYPE_CHECKING:
    from pathlib import Path

# Debian puts it where only root's PATH looks.
PROGRAM = shutil.which("clickhouse-server", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
PASSWORD = "p@ss:w/rd#%41?"

START_SECONDS = 150

CONFIG = """\
<yandex>
  <logger><level>information</level><console>1</console></logger>
  <listen_host>127.0.0.1</listen_host>
  <tcp_port>{port}</tcp_port>
  <http_port>{http_port}</http_port>
  <path>{directory}/data/</path>
  <tmp_path>{directory}/data/tmp/</tmp_path>
  <users_config>users.xml</users_config>
  <default_profile>default</default_profile>
  <default_database>default</default_database>
  <mark_cache_size>5368709</mark_cache_size>
  <timezone>UTC</timezone>
</yandex>
"""

# `default` may do all, `reader` changes nothing, `stranger` may not use the database `default`.
USERS = """\
<yandex>
  <profiles><default/><reader><readonly>1</readonly></reader></profiles>
  <quotas><default/></quotas>
  <users>
    <default>{user}<profile>default</profile></default>
    <reader>{user}<profile>reader</profile></reader>
    <stranger>{user}<profile>default</profile>
      <allow_databases><database>elsewhere</database></allow_databases></stranger>
  </users>
</yandex>
"""

USER = f"""
      <password>{PASSWORD}</password>
      <networks><ip>127.0.0.1</ip></networks>
      <quota>default</quota>"""


INSERT = (
    "INSERT INTO shadow (type, unique_id, emit_timestamp, kafka_partition, kafka_offset) VALUES"
)
INSERT_BROKEN = (
    "INSERT INTO shadow_broken"
    " (kafka_topic, kafka_partition, kafka_offset, kafka_timestamp, raw, error) VALUES"
)


def why_not() -> str | None:
    """Say what is missing for a ClickHouse here, if anything."""
    return None if PROGRAM else "no clickhouse-server"


def kept() -> list[str]:
    """Give the statements of the two tables that keep what was read, in types this server knows."""
    made = dict(schema.statements(Settings()))
    return [
        made[table]
        .replace("DateTime64(3, 'UTC')", "DateTime('UTC')")
        .replace("LowCardinality(String)", "String")
        .partition("\nTTL ")[0]
        for table in ("shadow", "shadow_broken")
    ]


class ClickHouseServer:
    """One server on 127.0.0.1 with its data in a directory; it may be killed and started again."""

    def __init__(self, directory: Path) -> None:
        self.port, self.http_port = free_ports(2)
        self._log = directory / "clickhouse.log"
        self._config = directory / "config.xml"
        self._config.write_text(
            CONFIG.format(port=self.port, http_port=self.http_port, directory=directory)
        )
        (directory / "users.xml").write_text(USERS.format(user=USER))
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, user: str = "default", password: str = PASSWORD) -> str:
        """Give its address for this user, without a database."""
        return f"clickhouse://{user}:{quote(password, safe='')}@127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it; returns once it answers."""
        command = [str(PROGRAM), f"--config-file={self._config}"]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=self._config.parent, stdout=log, stderr=log
            )
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            assert self._process.poll() is None, self._log.read_text()[-2000:]
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.02)
            else:
                return
        raise AssertionError("ClickHouse does not answer: " + self._log.read_text()[-2000:])

    def kill(self) -> None:
        """Kill it with -9, as a power cut would."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None
