"""No input stops a worker: whatever is sent leaves it as one shadow or as one dead letter."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson
import pytest
from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from domination.exactly_once.batch import Fault
from domination.ratings import Reason, parse
from harness import oracle, ratings_oracle, strategies
from harness.processes import eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.pipeline import Pipeline
    from harness.processes import Worker

PARTITIONS: Final = 3
OWN: Final = "domination.error."
LIMIT: Final = 1_048_588
"""Kafka's default for the size of a batch, as it is compressed."""
LATEST: Final = 1_700_000_000_000
"""The latest timestamp that a record is given: in milliseconds since 1970, before now."""
NEARLY: Final = LIMIT - 600
"""A record from this size on may be too large with what is added to it."""

# About the limit, where a shadow or a dead letter does not fit; beyond it where it compresses.
sizes = st.sampled_from([10_000, 500_000, LIMIT - 2_000, 3_000_000]) | st.integers(
    LIMIT - 500, LIMIT - 100
)
large = st.builds(
    lambda head, size, tail: head + b"x" * (size - len(head) - len(tail)) + tail,
    st.sampled_from([b'{"rating":3,"unique_id":"', b'{"rating":3,"unique_id":"x"} ', b"x"]),
    sizes,
    st.sampled_from([b'"}', b""]),
)
names = strategies.texts.filter(lambda name: "\0" not in name)  # The client cuts a name there.
headers = st.lists(
    st.tuples(
        names | st.sampled_from(["reason", "offset", "truncated"]).map(OWN.__add__),
        st.none() | st.binary(max_size=20) | sizes.map(bytes),
    ),
    max_size=3,
)


Place = tuple[int | None, int | None]
"""Partition and offset in the input topic."""


class Input(NamedTuple):
    """A record as a producer may send it; the timestamp 0 stands for now."""

    value: bytes | None
    key: bytes | None
    headers: list[tuple[str, bytes | None]]
    timestamp: int
    partition: int

    def __repr__(self) -> str:
        # Megabytes in the report of a failure help nobody.
        shown = (f"{name}={str(field)[:300]}" for name, field in self._asdict().items())
        return f"Input({', '.join(shown)})"

    @property
    def size(self) -> int:
        bodies = [self.value, self.key, *(body for _, body in self.headers)]
        return sum(len(body or b"") for body in bodies)


def few(often: st.SearchStrategy[Any], seldom: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.integers(0, 15).flatmap(lambda chance: often if chance else seldom)


inputs = st.builds(
    Input,
    few(strategies.values, large),
    few(strategies.keys, sizes.map(bytes)),
    few(st.just([]), headers),
    st.just(0) | st.integers(1, LATEST),
    st.integers(0, PARTITIONS - 1),
)


class Ends:
    """Sends records and tells what has come of them, while the worker runs on."""

    def __init__(self, pipeline: Pipeline, worker: Worker) -> None:
        self._pipeline, self._worker = pipeline, worker
        client: dict[str, Any] = {"bootstrap.servers": pipeline.bootstrap_servers, "log_level": 0}
        self._producer = Producer(
            client
            | {"message.max.bytes": 20_000_000, "compression.type": "lz4", "linger.ms": 2}
            | {"enable.idempotence": True}
        )
        self._consumer = Consumer(
            client
            | {"group.id": "reader", "isolation.level": "read_committed"}
            | {"enable.auto.commit": False, "fetch.wait.max.ms": 20}
        )
        topics = (pipeline.output, pipeline.dead)
        self._consumer.assign(
            [
                TopicPartition(topic, p.partition, 0)
                for topic in topics
                for p in pipeline.partitions(topic)
            ]
        )

    def send(self, records: list[Input]) -> dict[Place, Input]:
        """Send records; give those that Kafka has taken by their places."""
        sent: dict[Place, Input] = {}
        refused: set[int] = set()

        def delivery(record: Input) -> Callable[[KafkaError | None, Message], None]:
            def delivered(error: KafkaError | None, message: Message) -> None:
                if error:
                    refused.add(error.code())
                else:
                    sent[message.partition(), message.offset()] = record

            return delivered

        for record in records:
            fields = record._asdict()
            self._producer.produce(self._pipeline.input, on_delivery=delivery(record), **fields)
            if record.size > 10_000:
                self._producer.flush(30)  # Kafka takes or refuses a batch: this one is alone in it.
        assert self._producer.flush(30) == 0
        assert refused <= {KafkaError.MSG_SIZE_TOO_LARGE}
        return sent

    def outcome(self, count: int) -> tuple[list[Message], list[Message]]:
        """Give the shadows and the dead letters that have come since the last time."""
        seen: list[Message] = []

        def come() -> bool:
            assert self._worker.process.poll() is None, self._worker.output[-3000:]
            for message in self._consumer.consume(5000, 0.02):
                assert message.error() is None, message.error()
                seen.append(message)
            return len(seen) >= count

        eventually(come, 20, f"{count} records; {self._worker.output[-3000:]}")
        shadows = [each for each in seen if each.topic() == self._pipeline.output]
        return shadows, [each for each in seen if each.topic() == self._pipeline.dead]

    def close(self) -> None:
        self._consumer.close()


def origin(letter: Message) -> Place:
    """Give the place that a dead letter says it comes from."""
    told: Any = dict(letter.headers() or [])
    return int(told[OWN + "partition"]), int(told[OWN + "offset"])


def hold_letter(letter: Message, record: Input) -> None:
    """Assert that it is the record, whole unless that is too large, with the right reason."""
    found: Any = letter.headers() or []
    truncated = found[-1] == (OWN + "truncated", b"1")
    original = found[: -7 if truncated else -6]
    if truncated:
        assert record.size > NEARLY
        assert letter.value() == b""
        assert (letter.key(), original) in [(record.key, record.headers), (None, [])]
    else:
        assert (letter.value(), letter.key()) == (record.value, record.key)
        assert original == record.headers
    fault = parse(record.value)
    if isinstance(fault, Fault):
        assert oracle.record(letter).reason == fault.reason
    else:
        assert oracle.record(letter).reason == Reason.SHADOW_TOO_LARGE.value
        assert record.size > NEARLY


def hold(sent: dict[Place, Input], shadows: list[Message], dead: list[Message]) -> None:
    """Assert that each record has one outcome, the one that the oracle says.

    A dead letter says which record it is; what has none has to be there as a shadow, and as many
    times as it was sent, since many records may have one key and one unique id. It has its record's
    key, headers and timestamp.
    """
    letters = Counter(map(origin, dead))
    assert letters == Counter(letters.keys() & sent.keys())
    for letter in dead:
        hold_letter(letter, sent[origin(letter)])
    good = [record for place, record in sent.items() if place not in letters]
    humans = [ratings_oracle.human(record.value) for record in good]
    assert None not in humans
    rows = [orjson.loads(each.value() or b"") for each in shadows]
    assert Counter(
        (each.key(), tuple(each.headers() or ()), stamp(each), row["type"], row["unique_id"])
        for each, row in zip(shadows, rows, strict=True)
    ) == Counter(
        (record.key, tuple(record.headers), record.timestamp, *human.shadow)
        for record, human in zip(good, humans, strict=True)
        if human
    )


def stamp(message: Message) -> int:
    """Give the timestamp that a record was sent with; 0 if it has the time of then."""
    _, timestamp = message.timestamp()
    return timestamp if timestamp <= LATEST else 0


@pytest.mark.timeout(3600)  # The profile soak takes its time.
def test_whatever_is_sent_leaves_a_running_worker_once(pipeline: Pipeline) -> None:
    worker = pipeline.create(partitions=PARTITIONS).worker()
    worker.until("assigned")
    ends = Ends(pipeline, worker)
    everything = 0

    # An example takes as long as a commit: a quarter of what is usual. None is shrunk, for a worker
    # that has ended fails all the shorter ones too.
    @settings(
        max_examples=settings().max_examples // 4,
        phases=set(Phase) - {Phase.shrink, Phase.explain},
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(st.lists(inputs, max_size=20))
    def each_batch_does(records: list[Input]) -> None:
        nonlocal everything
        sent = ends.send(records)
        everything += len(sent)
        hold(sent, *ends.outcome(len(sent)))

    each_batch_does()
    pipeline.drained()
    assert worker.stop() == 0
    # What came twice, and the second time after its example was over, is still here.
    outcome = [*pipeline.read(pipeline.output).records, *pipeline.read(pipeline.dead).records]
    assert len(outcome) == everything
    assert "Traceback" not in worker.output
    ends.close()
