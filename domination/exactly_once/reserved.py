"""The properties of librdkafka that are not free: another value would break exactly once. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

RESERVED: Final[Mapping[str, str]] = {
    "acks": "transactions need acks=all",
    "auto.commit.interval.ms": "offsets are committed by the transactions",
    "auto.offset.reset": "a new group starts at the earliest record; a lost offset ends the worker",
    "delivery.report.only.error": "the ends need their own",
    "enable.auto.commit": "offsets are committed by the transactions",
    "enable.auto.offset.store": "offsets are committed by the transactions",
    "enable.idempotence": "transactions need an idempotent producer",
    "group.id": "the group is a setting of its own",
    "group.instance.id": "the instance is a setting of its own",
    "isolation.level": "aborted records are never read",
    "request.required.acks": "transactions need acks=all",
    "transaction.timeout.ms": "the commit rule counts on ten seconds",
    "transactional.id": "the instance is a setting of its own",
}
"""Why each is not free."""
