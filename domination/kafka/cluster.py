"""What a cluster has: topics, their limits and offsets, and what this user may do there."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from confluent_kafka import (
    IsolationLevel,
    KafkaError,
    KafkaException,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import ConfigResource, NewTopic, OffsetSpec, ResourceType

from domination.kafka.asking import Asking
from domination.kafka.end_offsets import told_offset
from domination.kafka.faults import (
    MISSING,
    TOPIC_REFUSED,
    FaultError,
    Lack,
    MissingError,
    RefusedError,
    Rights,
    UnwritableError,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from concurrent.futures import Future
    from enum import Enum

    from confluent_kafka.admin import (
        ConsumerGroupDescription,
        ListOffsetsResultInfo,
    )


DEFAULT_SIZE_LIMIT: Final = 1_000_000
"""Largest record in bytes where the broker does not tell its limit: librdkafka's own default."""

LARGEST_SIZE_LIMIT: Final = 1_000_000_000
"""The largest that librdkafka can be told."""

# Kafka checks whole batches; this much of a topic's limit is left to a batch's header.
_BATCH_HEADER: Final = 128
_LOOK_SECONDS: Final = 0.05
# What a cluster answers that has never had a group, and makes its own topic for them first.
_COORDINATOR: Final = frozenset(
    {
        KafkaError.NOT_COORDINATOR,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    }
)


class Cluster(Asking):
    """Asks a cluster, each answer within `timeout` seconds. Raises a `FaultError` for no answer."""

    def reach_leaders(self, topic: str, partitions: int) -> None:
        """Raise an `UnavailableError` unless a broker that leads one of the partitions answers."""
        places = [TopicPartition(topic, number) for number in range(partitions)]
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]  # theirs
        answers = self._ask_offsets(places, latest).values()
        if not any(map(_answered, answers)):
            with self.asking(f"looking at topic {topic}"):
                told_offset(next(iter(answers)))

    def partitions(self, operations: Mapping[str, str]) -> dict[str, int]:
        """Count the partitions of each topic; a missing topic has none.

        `operations` has what is to be done with each: where even this is refused, so is that.
        """
        return {topic: self._partitions(topic, each) for topic, each in operations.items()}

    def require(self, operations: Mapping[str, str]) -> dict[str, int]:
        """Count as `partitions` does; raises `MissingError` where a topic is missing."""
        found = self.partitions(operations)
        if missing := [topic for topic, count in found.items() if not count]:
            raise MissingError(missing)
        return found

    def lacking(self, operations: Mapping[str, str]) -> list[str]:
        """Give the rights that this user lacks, as `OPERATION on topic TOPIC`.

        An error of a transaction names no topic. Empty too where nobody answers.
        """
        try:
            return [
                f"{operation} on topic {topic}"
                for topic, operation in operations.items()
                if operation not in self.topic_operations(topic)
            ]
        except FaultError:
            return []

    def missing(self, operations: Mapping[str, str]) -> list[str]:
        """Give the topics that are missing; none too where nobody answers."""
        try:
            found = self.partitions(operations)
        except FaultError:
            return []
        return [topic for topic, count in found.items() if not count]

    def create(self, topic: str, partitions: int, replication: int) -> bool:
        """Make a topic and wait until it can be seen; False where another was quicker."""
        new = NewTopic(topic, partitions, replication)
        future = self.client.create_topics(
            [new], operation_timeout=self.timeout, request_timeout=self.timeout
        )[topic]
        try:
            with self.asking(f"making topic {topic}", Rights(f"CREATE on topic {topic}")):
                future.result()
        except FaultError as error:
            cause = error.__cause__
            if isinstance(cause, KafkaException) and (
                cause.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS
            ):
                return False
            raise
        deadline = time.monotonic() + self.timeout
        while not self._partitions(topic) and time.monotonic() < deadline:
            time.sleep(_LOOK_SECONDS)
        return True

    def make(
        self, topics: Iterable[str], partitions: int, replication: int
    ) -> Iterator[tuple[str, int]]:
        """Make the topics that are missing; yield each with the partitions that it had before."""
        for topic, found in self.partitions(dict.fromkeys(topics, "DESCRIBE")).items():
            made = not found and self.create(topic, partitions, replication)
            yield topic, 0 if made else found or partitions

    def topic_operations(self, topic: str) -> set[str]:
        """Ask what this user may do with a topic; who may not even ask may do nothing."""
        futures = self.client.describe_topics(
            TopicCollection([topic]),
            include_authorized_operations=True,
            request_timeout=self.timeout,
        )
        with self.asking(f"looking at topic {topic}"):
            try:
                return _names(futures[topic].result().authorized_operations)
            except KafkaException as exception:
                code = exception.args[0].code()
                if code in TOPIC_REFUSED:
                    return set()
                if code in MISSING:
                    raise MissingError([topic]) from exception
                raise

    def group_operations(self, group: str) -> set[str]:
        """Ask what this user may do with a consumer group; who may not even ask may do nothing."""
        try:
            return _names(self._group(group).authorized_operations)
        except RefusedError as error:
            if error.lack is Lack.RIGHT:
                return set()
            raise

    def members(self, group: str) -> list[str]:
        """Name the members of a consumer group: each by its instance, or else by its client."""
        found = self._group(group).members
        return sorted(each.group_instance_id or each.client_id for each in found)

    def _group(self, group: str) -> ConsumerGroupDescription:
        deadline = time.monotonic() + self.timeout
        with self.asking(f"looking at group {group}", Rights(group=f"DESCRIBE on group {group}")):
            while True:
                futures: dict[str, Future[ConsumerGroupDescription]] = (
                    self.client.describe_consumer_groups(
                        [group], include_authorized_operations=True, request_timeout=self.timeout
                    )
                )
                try:
                    return futures[group].result()
                except KafkaException as exception:
                    code = exception.args[0].code()
                    if code not in _COORDINATOR or time.monotonic() > deadline:
                        raise
                time.sleep(_LOOK_SECONDS)

    def size_limits(self, topics: Iterable[str]) -> dict[str, int]:
        """Read the largest record in bytes that each topic takes; empty where it is not told.

        Raises `KafkaException` where nobody answers.
        """
        limits = self._configuration(topics, "max.message.bytes")
        return {topic: int(limit) - _BATCH_HEADER for topic, limit in limits.items()}

    def require_uncompacted(self, topic: str) -> None:
        """Raise `UnwritableError` where a topic keeps only the last record of a key.

        Not where its configuration is not told. Raises `KafkaException` where nobody answers.
        """
        if "compact" in self._configuration([topic], "cleanup.policy").get(topic, ""):
            raise UnwritableError(
                f"topic {topic} is compacted: it takes no record without a key, and keeps only the "
                "last of each key; set its cleanup.policy to delete"
            )

    def configuration(self, topic: str) -> dict[str, str]:
        """Read the whole configuration of a topic. Raises a `FaultError`."""
        resource = ConfigResource(ResourceType.TOPIC, topic)
        right = Rights(f"DESCRIBE_CONFIGS on topic {topic}")
        with self.asking(f"asking for the configuration of topic {topic}", right):
            asked = self.client.describe_configs([resource], request_timeout=self.timeout)
            return {name: each.value for name, each in asked[resource].result().items()}

    def newest_timestamp(self, partitions: Iterable[TopicPartition]) -> int:
        """Ask for the latest timestamp of a record in partitions that have records.

        In milliseconds since 1970; -1 where they have no timestamps. Raises `KafkaException`.
        """
        which = OffsetSpec.max_timestamp()  # type: ignore[no-untyped-call]  # theirs
        asked = self._ask_offsets(partitions, which)
        return max(each.result().timestamp for each in asked.values())

    def first_offsets(self, partitions: Iterable[TopicPartition]) -> dict[int, int]:
        """Ask for the first offset that each partition of a topic still has.

        Raises `KafkaException`.
        """
        return self._offsets(partitions, OffsetSpec.earliest())  # type: ignore[no-untyped-call]  # theirs

    def end_offsets(self, partitions: Iterable[TopicPartition]) -> dict[int, int]:
        """Ask for the offset that the next record of each partition of a topic will have.

        Raises `KafkaException`.
        """
        return self._offsets(partitions, OffsetSpec.latest())  # type: ignore[no-untyped-call]  # theirs

    def stable_offsets(self, partitions: Iterable[TopicPartition]) -> dict[int, int]:
        """Ask how far each partition of a topic can be read: to its first open transaction.

        Raises `KafkaException`.
        """
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]  # theirs
        return self._offsets(partitions, latest, IsolationLevel.READ_COMMITTED)

    def ever_written(self, topics: Iterable[str]) -> bool:
        """Tell whether any of these topics has ever had a record, be it an aborted one."""
        counts = self.partitions(dict.fromkeys(topics, "WRITE"))
        with self.asking("asking for the ends of the topics"):
            return any(
                any(self.end_offsets(TopicPartition(topic, n) for n in range(count)).values())
                for topic, count in counts.items()
            )

    def _partitions(self, topic: str, operation: str = "DESCRIBE") -> int:
        with self.asking("asking for the topics"):
            metadata = self.metadata(topic).topics[topic]
        if metadata.error is None:
            return len(metadata.partitions)
        if metadata.error.code() in MISSING:
            return 0
        right = Rights(f"{operation} on topic {topic}")
        with self.connection.asking(f"looking at topic {topic}", right):
            raise KafkaException(metadata.error)

    def _configuration(self, topics: Iterable[str], name: str) -> dict[str, str]:
        # Asking needs the right to describe the topics' configurations.
        resources = [ConfigResource(ResourceType.TOPIC, topic) for topic in topics]
        asked = self.client.describe_configs(resources, request_timeout=self.timeout)
        try:
            return {resource.name: each.result()[name].value for resource, each in asked.items()}
        except KafkaException as exception:
            if exception.args[0].code() < 0:
                raise  # An error of the client's own.
            return {}

    def _offsets(
        self,
        partitions: Iterable[TopicPartition],
        which: OffsetSpec,
        isolation: IsolationLevel = IsolationLevel.READ_UNCOMMITTED,
    ) -> dict[int, int]:
        asked = self._ask_offsets(partitions, which, isolation)
        return {each.partition: told_offset(future) for each, future in asked.items()}

    def _ask_offsets(
        self,
        partitions: Iterable[TopicPartition],
        which: OffsetSpec,
        isolation: IsolationLevel = IsolationLevel.READ_UNCOMMITTED,
    ) -> dict[TopicPartition, Future[ListOffsetsResultInfo]]:
        wanted = {TopicPartition(each.topic, each.partition): which for each in partitions}
        return self.client.list_offsets(
            wanted, isolation_level=isolation, request_timeout=self.timeout
        )


def _answered(answer: Future[ListOffsetsResultInfo]) -> bool:
    """Tell whether a broker has answered, be it that it does not lead a new topic yet."""
    try:
        told_offset(answer)
    except KafkaException as exception:
        return bool(exception.args[0].code() > 0)
    return True


def _names(operations: Iterable[Enum] | None) -> set[str]:
    return {each.name for each in operations or ()}
