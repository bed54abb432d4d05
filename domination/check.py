"""Whether a worker could run here: one finding after the other, each with how to mend it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from confluent_kafka import KafkaException
from confluent_kafka.admin import AclOperation

from domination import broker
from domination.errors import DominationError, Exit
from domination.identity import Identity
from domination.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from domination.settings import Settings

_SECONDS: Final = 5.0

Finding = tuple[str, DominationError | None]


def findings(settings: Settings) -> Iterator[Finding]:
    """Look at the broker, the topics and the rights; nothing is written and no group is joined."""
    admin = broker.Admin(settings, _SECONDS)
    try:
        partitions = admin.partitions(settings.topics)
    except DominationError as error:
        yield f"broker {settings.bootstrap_servers}", error
        return
    yield f"broker {settings.bootstrap_servers}", None
    needed = (AclOperation.READ, AclOperation.WRITE, AclOperation.WRITE)
    for topic, operation in zip(settings.topics, needed, strict=True):
        if not partitions[topic]:
            yield f"topic {topic}", _missing(topic)
        else:
            allowed = admin.topic_operations(topic)
            yield (
                f"topic {topic}, {partitions[topic]} partitions",
                _right(allowed, operation, f"topic {topic}"),
            )
    group = f"group {settings.group}"
    yield group, _right(admin.group_operations(settings.group), AclOperation.READ, group)
    yield _transactions(settings)


def _transactions(settings: Settings) -> Finding:
    identity = Identity(settings, worker_index=0)
    # Not the worker's own id: taking that would fence a worker that runs.
    what = f"transactional id {identity.transactional_id}-check"
    writer = Writer(settings, f"{identity.transactional_id}-check")
    try:
        writer.renew(_SECONDS)
    except KafkaException as exception:
        error = exception.args[0]
        return what, broker.expected(error, "starting transactions") or broker.no_broker(
            settings, error
        )
    finally:
        writer.close(_SECONDS)
        identity.release()
    return what, None


def _missing(topic: str) -> DominationError:
    return DominationError(Exit.SETTING, f"missing; make it with 'domination topics' ({topic})")


def _right(
    allowed: set[AclOperation], operation: AclOperation, what: str
) -> DominationError | None:
    if operation in allowed:
        return None
    return DominationError(Exit.REFUSED, f"no right to {operation.name} {what}; ask for that ACL")
