"""What the ends and the commands ask of a Kafka cluster: configurations, topics, error meanings."""

from __future__ import annotations

import re
import time
from collections import deque
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import (
    IsolationLevel,
    KafkaError,
    KafkaException,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import (
    AdminClient,
    ConfigResource,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

from domination.errors import DominationError, Exit
from domination.log import librdkafka
from domination.settings import environment_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from concurrent.futures import Future

    from confluent_kafka.admin import AclOperation, ListOffsetsResultInfo

    from domination.settings import Settings

DEFAULT_SIZE_LIMIT: Final = 1_000_000
"""Largest record in bytes where the broker does not tell its limit: librdkafka's own default."""

LARGEST_SIZE_LIMIT: Final = 1_000_000_000
"""The largest that librdkafka can be told."""

# What SASL says of a connection that broke on the way, as when a broker ends.
_BROKEN: Final = "Local:"

# How long the client's connection was in which state.
_STATE: Final = re.compile(r" \(after \d+ms in state .*\)$")

_TOKENLESS: Final = "Failed to acquire SASL OAUTHBEARER token"
# How a token endpoint refuses a client (RFC 6749, 5.2). Anything else may pass, as a broker that is
# away does.
_NO_TOKEN: Final = (
    *("invalid_request", "invalid_client", "invalid_grant", "invalid_scope"),
    *("unauthorized_client", "unsupported_grant_type", "access_denied"),
)

CRITICAL: Final = 2
"""The log level of clients that only ask: what goes wrong is raised as well."""

_LOOK_SECONDS: Final = 0.05
_SILENT_MS: Final = 4_000
_ENDS_SECONDS: Final = 10.0
"""Long enough to notice a dead connection, and to ask again over another."""

# Kafka checks whole batches; this much of a topic's limit is left to a batch's header.
_BATCH_HEADER: Final = 128

PRODUCER_FENCED: Final = frozenset(
    {KafkaError._FENCED, KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH}
)

# The client tells a handshake that failed as one or as the other.
_TLS: Final = frozenset({KafkaError._SSL, KafkaError._TRANSPORT})
_WHO: Final = frozenset({KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED})
_TOPIC: Final = frozenset(
    {KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.CLUSTER_AUTHORIZATION_FAILED}
)
"""Kafka says the second where a user may write to no topic at all, or make none."""

_GROUP: Final = KafkaError.GROUP_AUTHORIZATION_FAILED
_TRANSACTIONS: Final = KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED
# What a cluster answers that has never had a group, and makes its own topic for them first.
_COORDINATOR: Final = frozenset(
    {
        KafkaError.NOT_COORDINATOR,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    }
)
_MISSING: Final = frozenset({KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC})
_UNWRITABLE: Final = frozenset(
    {
        KafkaError.INVALID_RECORD,
        KafkaError.INVALID_TIMESTAMP,
        KafkaError.UNSUPPORTED_FOR_MESSAGE_FORMAT,
    }
)
_ABORT_TOO: Final = ": current transaction must be aborted"
_WRONG: Final = frozenset(
    {
        KafkaError._INVALID_ARG,
        KafkaError._UNSUPPORTED_FEATURE,
        KafkaError.INVALID_TRANSACTION_TIMEOUT,
        KafkaError.INVALID_SESSION_TIMEOUT,
        KafkaError.INCONSISTENT_GROUP_PROTOCOL,
        KafkaError.TOPIC_EXCEPTION,
        KafkaError.POLICY_VIOLATION,
        KafkaError.INVALID_REPLICATION_FACTOR,
        KafkaError.INVALID_PARTITIONS,
    }
)


def client_config(settings: Settings, own: Mapping[str, object]) -> dict[str, Any]:
    """Lay a client's own properties over the shared ones, and those of the settings over both."""
    return {
        "bootstrap.servers": settings.bootstrap_servers,
        "client.id": "domination",
        "reconnect.backoff.max.ms": 1000,
        # Added partitions are found within ten seconds instead of five minutes.
        "topic.metadata.refresh.interval.ms": 10_000,
        # Java's partitioner, so that a key has one partition whoever writes it.
        "partitioner": "murmur2_random",
        **own,
        **settings.kafka,
    }


def expected(
    settings: Settings, error: KafkaError, doing: str, right: str | None = None
) -> DominationError | None:
    """Give the end that an error means for good, or None if trying again may help.

    `right` is what has to be allowed for it; without it the broker is asked what the worker lacks.
    """
    code = error.code()
    if code in PRODUCER_FENCED:
        return DominationError(
            Exit.TEMPORARY,
            f"fenced while {doing}: another worker has this instance's transactional id; start it "
            "again, and if it ends so again give each its own DOMINATION_INSTANCE",
        )
    if code in _MISSING:
        return DominationError(
            Exit.SETTING,
            f"a topic is missing while {doing} ({_missing(settings) or error.str()}): make it with "
            "'domination topics'",
        )
    if code in _UNWRITABLE:
        return DominationError(
            Exit.SETTING,
            f"a topic refuses what is written to it, while {doing}: "
            f"{error.str().removesuffix(_ABORT_TOO)}; if its cleanup.policy is compact it takes no "
            "record without a key, and its message.timestamp.* bound a record's time",
        )
    if code in _WRONG:
        text = error.str().strip()
        variables = " and ".join(_variables(settings, text)) or "DOMINATION_…"
        return DominationError(Exit.SETTING, f"while {doing}: {text}; check {variables}")
    return refusal(settings, error, doing, right)


def require_properties(settings: Settings) -> None:
    """End with 78 where no client can be made with these properties. It connects to nothing."""
    with told(settings, "reading the settings"):
        AdminClient({**settings.kafka, "log_level": CRITICAL}, logger=librdkafka)


def _variables(settings: Settings, text: str) -> list[str]:
    """Name the variables of the properties that a client speaks of.

    It may know a property by another name than its variable does: then the property alone is
    refused in the same words.
    """
    return [
        environment_name(f"kafka.{name}")
        for name, value in settings.kafka.items()
        if re.search(rf"(?<![\w.]){re.escape(name)}(?![\w.])", text) or text == _why(name, value)
    ]


def _why(name: str, value: str) -> str | None:
    """Give the words in which a client refuses a property alone, or None where it takes it."""
    try:
        AdminClient({name: value, "log_level": CRITICAL}, logger=librdkafka)
    except KafkaException as exception:
        return str(exception.args[0].str()).strip()
    return None


def refusal(
    settings: Settings, error: KafkaError, doing: str, right: str | None = None
) -> DominationError | None:
    """Give the end (77) that names what is missing, or None where nothing is refused."""
    code, text = error.code(), error.str()
    if code in _TLS and "certificate" in text:
        why = f"a certificate is not trusted ({text}); check DOMINATION_KAFKA_SSL_CA_LOCATION"
    elif code in _WHO and _BROKEN not in text and not _waits_for_token(text):
        why = (
            f"wrong user or password ({text}); check DOMINATION_KAFKA_SASL_USERNAME, "
            "…_PASSWORD and …_MECHANISM"
        )
    elif code in _TOPIC:
        why = no_right(right or _lacking(settings))
    elif code == _GROUP:
        why = no_right(f"READ on group {settings.group}")
    elif code == _TRANSACTIONS:
        why = no_right(f"WRITE on every transactional id that begins with {settings.id_prefix}")
    else:
        return None
    return DominationError(Exit.REFUSED, f"refused while {doing}: {why}")


def _waits_for_token(text: str) -> bool:
    return _TOKENLESS in text and not any(refused in text for refused in _NO_TOKEN)


def needed(settings: Settings) -> dict[str, str]:
    """Give what a worker has to be allowed on each topic."""
    return dict(zip(settings.topics, ("READ", "WRITE", "WRITE"), strict=True))


def no_right(right: str) -> str:
    """Say which ACL is missing."""
    return f"no right to {right}; ask for that ACL"


def _lacking(settings: Settings) -> str:
    """Ask which rights on its topics the worker lacks: errors of a transaction name no topic."""
    admin = Admin(settings)
    try:
        lacking = [
            f"{operation} on topic {topic}"
            for topic, operation in needed(settings).items()
            if operation not in admin.topic_operations(topic)
        ]
    except DominationError:
        lacking = []
    return " and ".join(lacking) or f"use one of the topics {', '.join(settings.topics)}"


def lost_offsets(settings: Settings) -> DominationError:
    """Say that the group has no offsets although its output has records."""
    return DominationError(
        Exit.SETTING,
        f"group {settings.group} has no committed offsets, but {settings.output_topic} or "
        f"{settings.dead_letter_topic} already has records: its offsets expired or were deleted, "
        f"{settings.input_topic} was made again, or the group is new. Stop all workers and set "
        "where to begin: kafka-consumer-groups.sh --reset-offsets --execute (--to-latest; or "
        f"--to-earliest, which judges again all that is in {settings.input_topic})",
    )


def _missing(settings: Settings) -> str:
    """Ask which topics are missing: not every error tells."""
    try:
        found = Admin(settings).partitions(needed(settings))
    except DominationError:
        return ""
    return " and ".join(f"no topic {topic}" for topic, count in found.items() if not count)


def no_broker(settings: Settings, error: KafkaError) -> DominationError:
    """Say that no broker could be reached, or nobody who gives a token for it."""
    if _TOKENLESS in error.str():
        endpoint = settings.kafka.get("sasl.oauthbearer.token.endpoint.url", "the token endpoint")
        return DominationError(
            Exit.UNAVAILABLE,
            f"no token from {endpoint} ({error.str().removeprefix(_TOKENLESS)[2:]}); check "
            "DOMINATION_KAFKA_SASL_OAUTHBEARER_TOKEN_ENDPOINT_URL",
        )
    servers = settings.bootstrap_servers
    why = _STATE.sub("", re.sub(rf"^(\w+://)?{re.escape(servers)}/\w+: ", "", error.str()))
    return DominationError(
        Exit.UNAVAILABLE,
        f"no broker at {servers} ({why}); start Kafka or set "
        "DOMINATION_KAFKA_BOOTSTRAP_SERVERS and …_SECURITY_PROTOCOL",
    )


@contextmanager
def told(settings: Settings, doing: str, right: str | None = None) -> Iterator[None]:
    """Turn what Kafka answers within into an expected end; `right` as in `expected`."""
    try:
        yield
    except KafkaException as exception:
        error = exception.args[0]
        raise expected(settings, error, doing, right) or no_broker(settings, error) from exception


class Admin:
    """What the commands ask once, each answer within `timeout` seconds."""

    def __init__(self, settings: Settings, timeout: float = 5.0) -> None:
        self._settings = settings
        self.timeout = timeout
        """How long an answer may take, in seconds."""
        self._heard: deque[KafkaError] = deque(maxlen=1)
        # Not a method of ours: a client that holds what holds it lives on, with its threads, until
        # the collector comes by.
        own = {"error_cb": partial(_hear, self._heard), "log_level": CRITICAL}
        with told(settings, "reading the settings"):
            self._client = AdminClient(client_config(settings, own), logger=librdkafka)

    def reach(self) -> None:
        """Raise unless a broker answers, whatever it says."""
        with self._asking("asking for the brokers"):
            self._client.list_topics(self._settings.input_topic, timeout=self.timeout)

    def partitions(self, operations: Mapping[str, str]) -> dict[str, int]:
        """Count the partitions of each topic; a missing topic has none.

        `operations` has what is to be done with each: where even this is refused, so is that.
        """
        return {topic: self._partitions(topic, each) for topic, each in operations.items()}

    def _partitions(self, topic: str, operation: str = "DESCRIBE") -> int:
        with self._asking("asking for the topics"):
            metadata = self._client.list_topics(topic, timeout=self.timeout).topics[topic]
        if metadata.error is None:
            return len(metadata.partitions)
        if metadata.error.code() in _MISSING:
            return 0
        right = f"{operation} on topic {topic}"
        with told(self._settings, f"looking at topic {topic}", right):
            raise KafkaException(metadata.error)

    def create(self, topic: str, partitions: int, replication: int) -> bool:
        """Make a topic and wait until it can be seen; False where another was quicker."""
        new = NewTopic(topic, partitions, replication)
        future = self._client.create_topics([new], operation_timeout=self.timeout)[topic]
        try:
            with self._asking(f"making topic {topic}", f"CREATE on topic {topic}"):
                future.result(timeout=self.timeout)
        except DominationError as error:
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

    def topic_operations(self, topic: str) -> set[str]:
        """Ask what this user may do with a topic; who may not even ask may do nothing."""
        futures = self._client.describe_topics(
            TopicCollection([topic]),
            include_authorized_operations=True,
            request_timeout=self.timeout,
        )
        with self._asking(f"looking at topic {topic}"):
            try:
                return _names(futures[topic].result().authorized_operations)
            except KafkaException as exception:
                if exception.args[0].code() in _TOPIC:
                    return set()
                raise

    def group_operations(self, group: str) -> set[str]:
        """Ask what this user may do with a consumer group."""
        deadline = time.monotonic() + self.timeout
        with self._asking(f"looking at group {group}"):
            while True:
                futures = self._client.describe_consumer_groups(
                    [group], include_authorized_operations=True, request_timeout=self.timeout
                )
                try:
                    return _names(futures[group].result().authorized_operations)
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

    def compacted(self, topic: str) -> bool:
        """Tell whether a topic keeps only the last record of a key; False where it is not told.

        Raises `KafkaException` where nobody answers.
        """
        return "compact" in self._configuration([topic], "cleanup.policy").get(topic, "")

    def _configuration(self, topics: Iterable[str], name: str) -> dict[str, str]:
        # Asking needs the right to describe the topics' configurations.
        resources = [ConfigResource(ResourceType.TOPIC, topic) for topic in topics]
        asked = self._client.describe_configs(resources, request_timeout=self.timeout)
        try:
            return {resource.name: each.result()[name].value for resource, each in asked.items()}
        except KafkaException as exception:
            if exception.args[0].code() < 0:
                raise  # An error of the client's own.
            return {}

    def first_offsets(self, partitions: Iterable[TopicPartition]) -> dict[int, int]:
        """Ask for the first offset that each partition of a topic still has."""
        return self._offsets(partitions, OffsetSpec.earliest())  # type: ignore[no-untyped-call]  # theirs

    def end_offsets(self, partitions: Iterable[TopicPartition]) -> dict[int, int]:
        """Ask for the offset that the next record of each partition of a topic will have."""
        return self._offsets(partitions, OffsetSpec.latest())  # type: ignore[no-untyped-call]  # theirs

    def ever_written(self, topics: Iterable[str]) -> bool:
        """Tell whether any of these topics has ever had a record, be it an aborted one."""
        counts = self.partitions(dict.fromkeys(topics, "WRITE"))
        return any(
            any(self.end_offsets(TopicPartition(topic, n) for n in range(count)).values())
            for topic, count in counts.items()
        )

    def _offsets(self, partitions: Iterable[TopicPartition], which: OffsetSpec) -> dict[int, int]:
        wanted = {TopicPartition(each.topic, each.partition): which for each in partitions}
        asked = self._client.list_offsets(wanted, request_timeout=self.timeout)
        return {each.partition: future.result().offset for each, future in asked.items()}

    @contextmanager
    def _asking(self, doing: str, right: str | None = None) -> Iterator[None]:
        try:
            with told(self._settings, doing, right):
                yield
        except DominationError as error:
            self._client.poll(0)  # Only now does the client say why it has no connection.
            if error.exit_code is Exit.UNAVAILABLE and self._heard:
                with told(self._settings, doing):
                    raise KafkaException(self._heard[0]) from error
            raise


class EndOffsets:
    """Asks how far the partitions of the input topic can be read, and never waits for an answer.

    Over connections of its own, made with the first question and kept: an answer on a consumer's
    connection waits behind a fetch.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._admin: AdminClient | None = None
        self._asked: dict[TopicPartition, Future[ListOffsetsResultInfo]] = {}

    @property
    def _client(self) -> AdminClient:
        if self._admin is None:
            own = {"log_level": CRITICAL, "socket.timeout.ms": _SILENT_MS}
            self._admin = AdminClient(client_config(self._settings, own), logger=librdkafka)
        return self._admin

    def ask(self, partitions: Iterable[int]) -> None:
        """Ask, unless an answer is still to come."""
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]  # theirs
        places = {TopicPartition(self._settings.input_topic, each): latest for each in partitions}
        if places and not self._asked:
            self._client.poll(0)
            self._asked = self._client.list_offsets(
                places,
                isolation_level=IsolationLevel.READ_COMMITTED,
                request_timeout=_ENDS_SECONDS,
            )

    def answers(self) -> dict[int, int]:
        """Give what has been answered since the last time: no record of a partition is beyond."""
        if not all(future.done() for future in self._asked.values()):
            return {}
        asked, self._asked = self._asked, {}
        answered = {p: each for p, each in asked.items() if each.exception() is None}
        return {place.partition: each.result().offset for place, each in answered.items()}

    def reach(self, timeout: float) -> bool:
        """Ask for a sign of life, and wait for it."""
        try:
            self._client.list_topics(self._settings.input_topic, timeout=timeout)
        except KafkaException:
            return False
        return True


def _hear(heard: deque[KafkaError], error: KafkaError) -> None:
    # All brokers down: it has said why with the error before.
    if error.code() != KafkaError._ALL_BROKERS_DOWN:
        heard.append(error)


def _names(operations: Iterable[AclOperation] | None) -> set[str]:
    return {each.name for each in operations or ()}


def make_topics(settings: Settings, partitions: int, replication: int) -> Iterator[tuple[str, str]]:
    """Make the topics that are missing; yield each topic with what came of it."""
    admin = Admin(settings)
    for topic, found in admin.partitions(dict.fromkeys(settings.topics, "DESCRIBE")).items():
        if not found and admin.create(topic, partitions, replication):
            yield topic, f"made, {partitions} partitions"
        else:
            yield topic, "exists, left as it is" + (f", {found} partitions" if found else "")


def require_topics(found: Mapping[str, int]) -> None:
    """End with 78 where topics are missing, and say how to make them."""
    missing = [topic for topic, partitions in found.items() if not partitions]
    if missing:
        raise DominationError(
            Exit.SETTING,
            f"no topic {' and no topic '.join(missing)}: make it with 'domination topics'",
        )
