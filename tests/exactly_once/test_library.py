"""The library for others: the program that docs/change.md shows, broken steps, and what stays."""

from __future__ import annotations

import random
import re
import subprocess
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
from harness.pipeline import CLEAN, ROOT, Pipeline, Worker, eventually
from harness.records import humans

if TYPE_CHECKING:
    from collections.abc import Iterator

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
        left = admin.list_topics(timeout=10).topics.keys() & set(bills.TOPICS.needed)
        if not left:
            return
        group = self.pipeline.group
        for deleted in (admin.delete_topics(sorted(left)), admin.delete_consumer_groups([group])):
            for each in deleted.values():
                with suppress(KafkaException):  # A test that failed early has no group.
                    each.result(30)

    def create(self) -> None:
        wanted = dict.fromkeys(bills.TOPICS.needed, 3) | {bills.TOPICS.read: 4}
        new = [NewTopic(topic, number, 1) for topic, number in wanted.items()]
        for made in self.pipeline.admin.create_topics(new).values():
            made.result(30)
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
        assert producer.flush(150) == 0

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


# Steps that break their contract.

WRONG: Final = """
import logging, sys
import bytewax.operators as op
from bytewax.dataflow import Dataflow
from domination.exactly_once import operators as xop, session
from domination.exactly_once.batch import Records
from domination.exactly_once.ends import Ends
from domination.exactly_once.options import Topics

logging.basicConfig(level="INFO")
session.STUCK_SECONDS = {stuck}
servers, read, write, dead_letters, group = sys.argv[1:]
ends = Ends({{"bootstrap.servers": servers}}, Topics(read, (write,), dead_letters), group)
flow = Dataflow("wrong")
batches = op.input("records", flow, ends.source)
broken = {step}
op.output("values", broken, ends.sink)
ends.run(flow, workers=2)
"""


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ("op.filter('drop', batches, lambda batch: False)", "drops or keeps batches"),
        ("op.flat_map('twice', batches, lambda b: [b, b])", "gave the sink a batch twice"),
        ("op.redistribute('move', batches)", "moved a batch to another worker"),
        (
            "op.map('lose', batches, lambda b: b.outcome(b.items[1:]))",
            "lost or added records",
        ),
        ("op.map('own', batches, lambda b: Records('x', b.items))", "made records of its own"),
        ("op.flat_map('apart', batches, lambda b: b.items)", "gave a bytes"),
        ("op.map('raise', batches, lambda b: 1 / 0)", "ZeroDivisionError"),
        ("xop.map_batch('raise', batches, lambda b: {}[0])", "exactly_once:KeyError: 0\nTraceback"),
    ],
)
def test_a_step_that_breaks_the_contract_ends_the_program_with_1_and_none_of_it_is_committed(
    pipeline: Pipeline, step: str, said: str
) -> None:
    pipeline.create()
    pipeline.send(humans(200))
    arguments = pipeline.bootstrap_servers, pipeline.input, pipeline.output, pipeline.dead
    # Nobody waits for a batch that does not come where something else is wrong.
    stuck = 1 if "drops" in said else 600
    command = (sys.executable, "-c", WRONG.format(step=step, stuck=stuck))
    worker = pipeline.worker(*arguments, pipeline.group, command=command)

    def ended() -> bool:
        pipeline.send(humans(20))  # Each batch is moved or not, by chance.
        return worker.process.poll() is not None

    eventually(ended)
    assert worker.wait() == 1, worker.output
    assert said in worker.output
    assert len(pipeline.read(pipeline.output).records) == sum(pipeline.committed().values())


# Timestamps.

TIMED: Final = """
import sys
import bytewax.operators as op
from bytewax.dataflow import Dataflow
from domination.exactly_once.ends import Ends
from domination.exactly_once.options import Topics

servers, read, write, dead_letters, group = sys.argv[1:]
ends = Ends({{"bootstrap.servers": servers}}, Topics(read, (write,), dead_letters), group)
flow = Dataflow("timed")
batches = op.input("records", flow, ends.source)
values = op.map("values", batches, lambda batch: {outcome})
op.output("out", values, ends.sink)
ends.run(flow)
"""


def test_a_topic_may_refuse_a_carried_timestamp_and_takes_the_time_of_writing(
    pipeline: Pipeline,
) -> None:
    pipeline.create(output={"message.timestamp.before.max.ms": "60000"})
    producer = Producer({"bootstrap.servers": pipeline.bootstrap_servers})
    producer.produce(pipeline.input, b"old", timestamp=STARTED)
    assert producer.flush(30) == 0
    arguments = pipeline.bootstrap_servers, pipeline.input, pipeline.output, pipeline.dead

    def started(outcome: str) -> Worker:
        command = (sys.executable, "-c", TIMED.format(outcome=outcome))
        return pipeline.worker(*arguments, pipeline.group, command=command)

    carried = started("batch")
    assert carried.wait() == 1
    assert "UnwritableError: a topic refuses what is written to it" in carried.output
    assert "message.timestamp" in carried.output
    assert pipeline.read(pipeline.output).records == []
    started("batch.outcome(batch.items, timestamps=[0] * len(batch.items))")
    pipeline.drained()
    (record,) = pipeline.read(pipeline.output).records
    assert record.timestamp()[1] > STARTED + 3_000_000


# What it leaves alone.


def python(code: str) -> subprocess.CompletedProcess[str]:
    """Run code in an interpreter of its own."""
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=CLEAN,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )


@pytest.mark.parametrize("module", ["", ".batch", ".options", ".reserved", ".dead_letter", ".rule"])
def test_what_travels_and_what_is_told_load_no_kafka_client_and_no_bytewax(module: str) -> None:
    code = f"import sys, domination.exactly_once{module}\n"
    code += "print({'bytewax', 'confluent_kafka'} & {each.split('.')[0] for each in sys.modules})"
    assert python(code).stdout == "set()\n"


LEFT_ALONE: Final = """
import gc, logging, os, signal, sys
sys.path += ["tests"]
from harness import listening

def state():
    loggers = list(map(logging.getLogger, (None, "domination", "exactly_once")))
    return {
        "gc": gc.get_threshold(),
        "signals": [signal.getsignal(each) for each in sorted(signal.valid_signals())],
        "wake-up": signal.set_wakeup_fd(-1),
        "logging": [(each.level, each.handlers[:]) for each in loggers],
        "listens": listening.addresses(os.getpid()),
    }

found = [state()]
import bytewax.operators as op
from bytewax.dataflow import Dataflow
from domination.exactly_once.defaults import StopEvent
from domination.exactly_once.ends import Ends
from domination.exactly_once.options import Options, Topics
from domination.kafka.faults import UnavailableError

class Watching(StopEvent):
    def pause(self, seconds):
        found.append(state())
        super().pause(seconds)

topics = Topics("orders", ("bills",), "letters")
options = Options(availability_timeout=0.5)
ends = Ends({"bootstrap.servers": "127.0.0.1:1"}, topics, "g", options=options, stop=Watching())
flow = Dataflow("nothing")
op.output("out", op.input("in", flow, ends.source), ends.sink)
try:
    ends.run(flow)
except UnavailableError as error:
    print(error)
found.append(state())
print(len(found) > 2, [name for each in found for name in each if each[name] != found[0][name]])
"""


def test_the_ends_log_and_raise_and_leave_signals_handlers_gc_and_ports_alone() -> None:
    ended = python(LEFT_ALONE)
    error, left = ended.stdout.splitlines()
    assert "no broker at 127.0.0.1:1" in error
    assert left == "True []"
    # Where nobody has set up logging, Python itself prints warnings and errors.
    assert error in ended.stderr.splitlines()
    assert "Traceback" not in ended.stderr
