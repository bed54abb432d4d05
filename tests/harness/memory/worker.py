"""A worker in memory: the real session on the model, stopped wherever others may come between."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, NamedTuple

from domination.exactly_once.availability import Availability
from domination.exactly_once.batch import BrokenContractError, Fault
from domination.exactly_once.dead_letter import Form
from domination.exactly_once.defaults import Quiet
from domination.exactly_once.rule import Transaction
from domination.exactly_once.session import Parts, Session
from domination.exactly_once.transactional import TRANSACTION_SECONDS
from domination.exactly_once.writer import Target
from domination.kafka.faults import FaultError, Rights
from harness.memory.line import Fate, Reply, carry, heard
from harness.memory.owner import MemoryClock, MemoryStop, Ready
from harness.memory.reader import MemoryReader
from harness.memory.requests import Request
from harness.memory.topic import INPUT
from harness.memory.turns import Turns
from harness.memory.writer import MemoryWriter

if TYPE_CHECKING:
    from collections.abc import Callable

    from domination.exactly_once.batch import Records
    from domination.exactly_once.ports import Change
    from harness.memory.kafka import Kafka

IDLE: Final = "idle"
"""The worker has returned to the dataflow: batches may reach the sink."""
ASKED: Final = "asked"
"""An answer that has left Kafka is under way."""
COMMIT_SECONDS: Final = 1.0
WANTED: Final = 2
"""A poll that brings fewer records has drained the input."""
_ODD: Final = Fault("odd", "each fifth record becomes a dead letter")
_LOG: Final = logging.getLogger("memory")
_LOG.addHandler(logging.NullHandler())
_LOG.propagate = False


class Kinds(NamedTuple):
    """What a worker is made of."""

    rule: type[Transaction] = Transaction
    reader: type[MemoryReader] = MemoryReader
    writer: type[MemoryWriter] = MemoryWriter
    session: type[Session] = Session


def target(name: str) -> Target:
    """Give where a writer in memory writes."""
    too_large = Fault("too_large", "no topic takes it")
    return Target(name, INPUT, ("out",), "dead", Form("memory."), too_large, Rights())


class Worker:
    """Drives a session as a dataflow does, one step each time that it is let go on."""

    def __init__(self, name: str, kafka: Kafka, kinds: Kinds) -> None:
        self.kafka = kafka
        self.fate = Fate()
        self.in_flight: list[Records] = []
        self.error: Exception | None = None
        clock = MemoryClock(kafka)
        self.stop = MemoryStop(clock)
        self.rule = kinds.rule(COMMIT_SECONDS, TRANSACTION_SECONDS)
        self.writer = kinds.writer(kafka, self, clock, target(name))

        def make_reader(changes: Callable[[Change], None]) -> MemoryReader:
            self.reader = kinds.reader(kafka, self, clock, name, changes)
            self.reader.wanted = WANTED
            return self.reader

        self.session = kinds.session(
            Parts(
                self.rule,
                make_reader,
                self.writer,
                Ready(),
                Availability("memory", float("inf"), self.stop, clock, _LOG, free=int),
                Quiet(),
                clock,
                self.stop,
                _LOG,
                COMMIT_SECONDS,
                "joining",
            )
        )
        self._turns: Turns[Request | str, Fate] = Turns()
        self._turns.start(self._run)

    @property
    def waits_for(self) -> Request | str | None:
        """Where it has stopped; None: it has ended."""
        return self._turns.waits_for

    def go_on(self, fate: Fate) -> None:
        """Let it go on to the next point where others may come between."""
        self._turns.give(fate)

    def kill(self) -> None:
        """End it where it stands."""
        self._turns.kill()
        self.reader.client.alive = False

    def send(self, request: Request) -> Reply:
        return carry(self.kafka, request, self._turns.ask(request).outcome)

    def hears(self) -> bool:
        return heard(self._turns.ask(ASKED).outcome)

    def reach_the_sink(self) -> None:
        """Let the dataflow hand the oldest batch to the sink."""
        if self.waits_for == IDLE and self.in_flight:
            batch = self.in_flight.pop(0)
            odd = [_ODD if offset % 5 == 4 else None for offset in batch.offsets]
            self.session.write(batch.reject(odd))

    def _run(self) -> None:
        try:
            while (batches := self._next()) is not None:
                self.in_flight += batches
        except (FaultError, BrokenContractError) as error:
            self.error = error
        self.session.close()

    def _next(self) -> list[Records] | None:
        self.fate = self._turns.ask(IDLE)
        return self.session.next_batch()
