"""The program that docs/change.md shows: killed on a real Kafka, and its steps without one."""

from __future__ import annotations

import random
import re
import sys
import time
from collections import Counter, defaultdict
from contextlib import contextmanager, suppress
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

import orjson
import pytest
from bytewax.testing import TestingSink, TestingSource, run_main
from confluent_kafka import Consumer, KafkaException, Message, Producer
from confluent_kafka.admin import NewTopic

import bills
from domination.exactly_once.batch import Batch, Fault, Headers, Outcome, Records, Reject
from domination.exactly_once.dead_letter import Form
from harness import listening
from harness.processes import PATIENT_SECONDS, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.pipeline import Pipeline

BILLS: Final = (sys.executable, "docs/examples/bills.py")
DEAD: Final = bills.TOPICS.dead_letters
DROPPED: Final = "test_order"
KEYS: Final = 40


class Placed(NamedTuple):
    """An order as it is sent, and where it has to come out: a topic, or a reason."""

    number: int
    value: bytes | None
    outcome: str

    @property
    def key(self) -> bytes:
        return b"key-%d" % (self.number % KEYS)

    @property
    def timestamp(self) -> int:
        """Count milliseconds from an hour ago on."""
        return STARTED + self.number

    @property
    def headers(self) -> Headers:
        return [("traceparent", b"%d" % self.number), ("shop", b"1")]


STARTED: Final = int(time.time() * 1000) - 3_600_000


def placed(number: int) -> Placed:
    """Make an order of a kind that depends on its number."""
    kind = random.Random(number).choices(
        ["bills", "refunds", DROPPED, "unknown_customer", "unreadable", "tombstone"],
        [10, 5, 2, 1, 1, 1],
    )[0]
    if kind == "tombstone":
        return Placed(number, None, kind)
    if kind == "unreadable":
        return Placed(number, b'{"id":"%d"' % number, kind)
    customer = "mallory" if kind == "unknown_customer" else "ada"
    cents = -number if kind == "refunds" else number
    order = bills.Order(str(number), customer, cents, test=kind == DROPPED)
    return Placed(number, orjson.dumps({name: getattr(order, name) for name in FIELDS}), kind)


FIELDS: Final = bills.Order.__struct_fields__


class Shop:
    """The topics of the program on a real Kafka, and traffic for them."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        pipeline.input, pipeline.group = bills.TOPICS.read, "billing"
        pipeline.environment = {"BOOTSTRAP_SERVERS": pipeline.bootstrap_servers}
        self._client: dict[str, Any] = {"bootstrap.servers": pipeline.bootstrap_servers}
        self.sent: list[Placed] = []

    def clear(self) -> None:
        """Delete what an earlier run has left on a Kafka that outlives it."""
        admin = self.pipeline.admin
        left = admin.list_topics(timeout=PATIENT_SECONDS).topics.keys() & set(bills.TOPICS.needed)
        if not left:
            return
        group = self.pipeline.group
        for deleted in (admin.delete_topics(sorted(left)), admin.delete_consumer_groups([group])):
            for each in deleted.values():
                with suppress(KafkaException):  # A test that failed early has no group.
                    each.result(PATIENT_SECONDS)

    def create(self) -> None:
        wanted = dict.fromkeys(bills.TOPICS.needed, 3) | {bills.TOPICS.read: 4}
        new = [NewTopic(topic, number, 1) for topic, number in wanted.items()]
        for made in self.pipeline.admin.create_topics(new).values():
            made.result(PATIENT_SECONDS)
        for topic, number in wanted.items():
            eventually(lambda t=topic, n=number: len(self.pipeline.partitions(t)) == n)  # type: ignore[misc]

    def send(self, orders: Iterator[Placed]) -> None:
        producer = Producer(
            self._client | {"enable.idempotence": True, "partitioner": "murmur2_random"}
        )
        for order in orders:
            producer.produce(
                bills.TOPICS.read,
                order.value,
                order.key,
                timestamp=order.timestamp,
                headers=order.headers,
            )
            producer.poll(0)
            self.sent.append(order)
        assert producer.flush(PATIENT_SECONDS) == 0

    @contextmanager
    def traffic(self) -> Iterator[None]:
        """Send orders, about a thousand a second, until the block ends."""
        enough = Event()

        def orders() -> Iterator[Placed]:
            number = len(self.sent)
            while not enough.wait(0.02):
                yield from map(placed, range(number, number := number + 20))

        thread = Thread(target=lambda: self.send(orders()))
        thread.start()
        try:
            yield
        finally:
            enough.set()
            thread.join()

    def end(self, topic: str) -> int:
        """Count the offsets of a topic, those of open transactions too."""
        own = {"group.id": "reader", "isolation.level": "read_uncommitted"}
        consumer = Consumer(self._client | own)
        try:
            places = self.pipeline.partitions(topic)
            return sum(consumer.get_watermark_offsets(each, timeout=10)[1] for each in places)
        except KafkaException:
            return 0  # A new topic has no leader at once.
        finally:
            consumer.close()

    def committed(self) -> int:
        return sum(self.pipeline.committed().values())


@pytest.fixture
def shop(pipeline: Pipeline) -> Iterator[Shop]:
    made = Shop(pipeline)
    made.clear()
    yield made
    pipeline.end()
    made.clear()


def headers(message: Message) -> Headers:
    return list(cast("Headers", message.headers() or []))


def number(message: Message) -> int:
    return int(dict(headers(message))["traceparent"] or b"")


def outcome(topic: str, message: Message) -> str:
    """Name what became of an order: its topic, or the reason of its dead letter."""
    if topic != DEAD:
        return topic
    letter = Form("acme.").read(headers(message))
    assert letter
    return letter.reason


def test_the_program_settles_each_order_once_and_in_order_though_it_is_killed_again_and_again(
    shop: Shop,
) -> None:
    pipeline = shop.pipeline
    first = pipeline.worker(command=BILLS)
    assert first.wait() == 78
    assert "no topic orders.dead-letter" in first.output
    assert "Traceback" not in first.output
    shop.create()
    with shop.traffic():
        writing = pipeline.worker(command=BILLS)
        eventually(lambda: shop.end(bills.BILLS) > 0)
        assert listening.addresses(writing.process.pid) == set()
        writing.kill()
        starting = pipeline.worker(command=BILLS)
        starting.until("assigned")
        starting.kill()
        before = shop.committed()
        reading = pipeline.worker(command=BILLS)
        eventually(lambda: shop.committed() > before)
        reading.kill()
        last = pipeline.worker(command=BILLS)
        last.until("assigned")
    pipeline.drained()
    assert last.stop() == 0
    check(shop)

    counted = pipeline.worker(command=BILLS)
    counted.until("assigned")
    more = list(map(placed, range(len(shop.sent), len(shop.sent) + 60)))
    shop.send(iter(more))
    pipeline.drained()
    assert counted.stop() == 0
    said = re.search(r"worker 0 has settled \{(.*)\}", counted.output)
    assert said
    counts = {name: int(count) for name, count in re.findall(r"'(\w+)': (\d+)", said[1])}
    assert counts == Counter(order.outcome for order in more)
    check(shop)


def check(shop: Shop) -> None:
    """Hold what was sent against what a committed reader finds."""
    found = {topic: shop.pipeline.read(topic).records for topic in (*bills.TOPICS.write, DEAD)}
    assert Counter(
        (outcome(topic, each), number(each)) for topic, records in found.items() for each in records
    ) == Counter((each.outcome, each.number) for each in shop.sent if each.outcome != DROPPED)
    for topic, records in found.items():
        partitions: dict[bytes | None, set[int | None]] = defaultdict(set)
        numbers: dict[bytes | None, list[int]] = defaultdict(list)
        for each in records:
            sent = shop.sent[number(each)]
            assert each.key() == sent.key
            partitions[each.key()].add(each.partition())
            numbers[each.key()].append(sent.number)
            (check_letter if topic == DEAD else check_value)(each, sent)
        assert all(len(each) == 1 for each in partitions.values())
        assert all(each == sorted(each) for each in numbers.values())


def check_value(message: Message, sent: Placed) -> None:
    assert headers(message) == [sent.headers[0], ("settled-by", b"billing 1")]
    assert message.timestamp()[1] == sent.timestamp
    value = orjson.loads(message.value() or b"")
    assert value == {"order": str(sent.number), "cents": sent.number, "country": "GB"}


def check_letter(message: Message, sent: Placed) -> None:
    assert headers(message)[:2] == sent.headers
    assert message.value() == sent.value
    letter = Form("acme.").read(headers(message))
    assert letter
    assert letter.origin.topic == bills.TOPICS.read
    assert letter.origin.timestamp == sent.timestamp


# Without a broker.


def settled(values: list[bytes | None], carried: list[Headers | None]) -> Outcome:
    """Send the records of one poll through the steps of the program."""
    arrived: list[Batch[bytes | None]] = []
    source = TestingSource([Records("orders", values, headers=carried)])
    run_main(bills.billing(source, TestingSink(arrived)))  # type: ignore[no-untyped-call]  # it is Rust's
    (batch,) = arrived
    assert isinstance(batch, Outcome)
    batch.check()
    return batch


def test_the_steps_need_no_broker_to_be_tried() -> None:
    orders = [
        b'{"id":"1","customer":"ada","cents":5}',
        b"{",
        b'{"id":"2","customer":"ada","cents":5,"test":true}',
        b'{"id":"3","customer":"mallory","cents":5}',
        b'{"id":"4","customer":"grace","cents":-7}',
        None,
    ]
    trace: Headers = [("traceparent", b"00-1"), ("other", b"x")]
    batch = settled(list(orders), [trace, *[None] * 5])
    assert list(map(orjson.loads, filter(None, batch.values))) == [
        {"order": "1", "cents": 5, "country": "GB"},
        {"order": "4", "cents": 7, "country": "US"},
    ]
    assert batch.topics == ["bills", "refunds"]
    own = ("settled-by", b"billing 1")
    assert batch.headers == [[trace[0], own], [own]]
    assert (batch.keys, batch.timestamps) == (None, None)
    reasons = {each.place: (each.fault.reason, each.dropped) for each in batch.rejects}
    assert reasons == {
        1: ("unreadable", False),
        2: ("test_order", True),
        3: ("unknown_customer", False),
        5: ("tombstone", False),
    }
    assert Reject(3, Fault("unknown_customer", "nobody has this name")) in batch.rejects


def test_a_poll_of_nothing_but_rejects_leaves_no_value() -> None:
    batch = settled([None, b"[]"], [None, None])
    assert (list(batch.values), len(batch.rejects)) == ([], 2)
