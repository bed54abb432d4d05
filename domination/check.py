"""Whether a worker could run here: one finding after the other, each with how to mend it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from confluent_kafka.admin import AclOperation

from domination import broker
from domination.errors import DominationError, Exit
from domination.identity import Identity
from domination.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from domination.settings import Settings

# A cluster that has never had a group or a transaction makes its own topics for them first.
_SECONDS: Final = 20.0

Finding = tuple[str, DominationError | None]


def findings(settings: Settings) -> Iterator[Finding]:
    """Look at the broker, the topics and the rights; nothing is written and no group is joined."""
    admin = broker.Admin(settings, _SECONDS)
    at = f"broker {settings.bootstrap_servers}"
    try:
        partitions = admin.partitions(settings.topics)
    except DominationError as error:
        yield at, error
        return
    yield at, None
    needed = (AclOperation.READ, AclOperation.WRITE, AclOperation.WRITE)
    for topic, operation in zip(settings.topics, needed, strict=True):
        yield (
            f"topic {topic}, {partitions[topic]} partitions",
            _error(_topic, admin, topic, partitions[topic], operation),
        )
    yield f"group {settings.group}", _error(_group, admin, settings.group)
    yield "transactional id", _error(_transactions, settings)


def _error(look: Callable[..., None], *arguments: Any) -> DominationError | None:
    try:
        look(*arguments)
    except DominationError as error:
        return error
    return None


def _topic(admin: broker.Admin, topic: str, partitions: int, operation: AclOperation) -> None:
    if not partitions:
        raise DominationError(Exit.SETTING, "missing; make it with 'domination topics'")
    _require(operation, admin.topic_operations(topic))


def _group(admin: broker.Admin, group: str) -> None:
    _require(AclOperation.READ, admin.group_operations(group))


def _require(operation: AclOperation, allowed: set[AclOperation]) -> None:
    if operation not in allowed:
        raise DominationError(Exit.REFUSED, f"no right to {operation.name} it; ask for that ACL")


def _transactions(settings: Settings) -> None:
    identity = Identity(settings, worker_index=0)
    # Not the worker's own id: taking that would fence a worker that runs.
    writer = Writer(settings, f"{identity.transactional_id}-check")
    try:
        with broker.told(settings, "starting transactions"):
            writer.renew(_SECONDS)
    finally:
        writer.close(_SECONDS)
        identity.release()
