"""Orders become bills and refunds, each order exactly once: a program of its own on the library.

    python docs/examples/bills.py

It reads the topic `orders` of the Kafka at `BOOTSTRAP_SERVERS` and writes `bills`, `refunds` and
`orders.dead-letter`. SIGTERM and Ctrl-C drain it.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections import Counter
from typing import TYPE_CHECKING, Final

import bytewax.operators as op
import msgspec
from bytewax.dataflow import Dataflow

from domination.exactly_once import operators as xop
from domination.exactly_once.batch import Fault
from domination.exactly_once.defaults import Quiet, StopEvent
from domination.exactly_once.ends import Ends
from domination.exactly_once.options import Options, Topics
from domination.kafka.faults import FaultError, FencedError, RefusedError, UnavailableError

if TYPE_CHECKING:
    from bytewax.inputs import Source
    from bytewax.outputs import Sink

    from domination.exactly_once.batch import Batch, Headers, Outcome, Records
    from domination.exactly_once.ports import Committed

BILLS, REFUNDS = "bills", "refunds"
TOPICS: Final = Topics("orders", (BILLS, REFUNDS), "orders.dead-letter")
CUSTOMERS: Final = {"ada": "GB", "blaise": "FR", "grace": "US"}
"""The country of each customer."""
EXIT_CODES: Final = {
    UnavailableError: os.EX_UNAVAILABLE,
    FencedError: os.EX_TEMPFAIL,
    RefusedError: os.EX_NOPERM,
    FaultError: os.EX_CONFIG,
}

log = logging.getLogger("billing")


class Order(msgspec.Struct, frozen=True):
    """One order; it gives money back where `cents` is negative."""

    id: str
    customer: str
    cents: int
    test: bool = False


def read(value: bytes | None) -> Order | Fault:
    """Read one order."""
    if value is None:
        return Fault("tombstone", "the order has no value")
    try:
        return msgspec.json.decode(value, type=Order)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return Fault("unreadable", str(error))


def is_real(order: Order) -> bool:
    """Tell whether somebody has to pay."""
    return not order.test


def is_known(order: Order) -> bool:
    """Tell whether we know who has to pay."""
    return order.customer in CUSTOMERS


def settle(batch: Batch[Order]) -> Outcome:
    """Write a bill or a refund for each order; keys and timestamps are the orders' own."""
    values = [
        msgspec.json.encode(
            {"order": order.id, "cents": abs(order.cents), "country": CUSTOMERS[order.customer]}
        )
        for order in batch.items
    ]
    topics = [REFUNDS if order.cents < 0 else BILLS for order in batch.items]
    headers = list(map(with_own, batch.kept(batch.records.headers)))
    return batch.outcome(values, topics=topics, headers=headers, kinds=topics)


def with_own(carried: Headers | None) -> Headers:
    """Keep the trace of an order, and say who has settled it."""
    kept = [(name, value) for name, value in carried or [] if name == "traceparent"]
    return [*kept, ("settled-by", b"billing 1")]


def billing(source: Source[Records], sink: Sink[Batch[bytes | None]]) -> Dataflow:
    """Make the dataflow between two ends: those on Kafka, or a test's."""
    flow = Dataflow("billing")
    records = op.input("orders", flow, source)
    orders = xop.filter_faults("readable", xop.map("read", records, read))
    real = xop.filter("real", orders, is_real, reason="test_order", drop=True)
    known = xop.filter("known", real, is_known, "unknown_customer", "nobody has this name")
    op.output("settled", xop.map_batch("settle", known, settle), sink)
    return flow


class Counts(Quiet):
    """Counts what one worker has committed, by topic or reason, and logs it at the end."""

    def __init__(self, worker_index: int) -> None:
        self._worker_index = worker_index
        self._counts: Counter[str] = Counter()

    def committed(self, committed: Committed) -> None:
        """Count a transaction."""
        for topics in committed.kinds:
            self._counts.update(topics)
        self._counts.update(committed.rejects)
        self._counts.update(committed.dropped)

    def closed(self) -> None:
        """Log the counts."""
        log.info("worker %s has settled %s", self._worker_index, dict(self._counts))


def main(servers: str, topics: Topics = TOPICS, group: str = "billing") -> int:
    """Run until a signal or a failure; give the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    stop = StopEvent()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    ends = Ends(
        {"bootstrap.servers": servers},
        topics,
        group,
        options=Options("acme"),
        observer=Counts,
        stop=stop,
    )
    try:
        ends.run(billing(ends.source, ends.sink))
    except FaultError as error:  # It is logged.
        return next(code for kind, code in EXIT_CODES.items() if isinstance(error, kind))
    return os.EX_OK


if __name__ == "__main__":
    sys.exit(main(os.environ.get("BOOTSTRAP_SERVERS", "localhost:9092")))
