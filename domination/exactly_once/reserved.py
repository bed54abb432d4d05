"""The librdkafka properties that cannot be changed: other values would break exactly once. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

RESERVED: Final[Mapping[str, str]] = {
    "acks": "transactions need acks=all",
    "auto.commit.interval.ms": "offsets are committed by the transactions",
    "auto.offset.reset": "a new group starts at the earliest record; a lost offset ends the worker",
    "delivery.report.only.error": "the sink needs its own value",
    "enable.auto.commit": "offsets are committed by the transactions",
    "enable.auto.offset.store": "offsets are committed by the transactions",
    "enable.idempotence": "transactions need an idempotent producer",
    "group.id": "the ends take the group as an argument",
    "group.instance.id": "Options.instance sets it",
    "isolation.level": "the source must not read aborted records",
    "request.required.acks": "transactions need acks=all",
    "transaction.timeout.ms": "the commit rule needs ten seconds",
    "transactional.id": "Options.instance sets it",
}
"""Why each cannot be changed."""
