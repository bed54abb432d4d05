"""A worker in memory: the real session on the model, stopped wherever others may come between."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from domination.exactly_once.batch import BrokenContractError, Fault
from domination.kafka.faults import FaultError
from harness.memory.assembly import Assembly
from harness.memory.line import Fate, Reply, carry, heard
from harness.memory.turns import Turns

if TYPE_CHECKING:
    from domination.exactly_once.batch import Records
    from harness.memory.assembly import Kinds
    from harness.memory.kafka import Kafka
    from harness.memory.requests import Request

IDLE: Final = "idle"
"""The worker has returned to the dataflow: batches may reach the sink."""
ASKED: Final = "asked"
"""An answer that has left Kafka is under way."""
_ODD: Final = Fault("odd", "each fifth record becomes a dead letter")


class Worker(Assembly):
    """Drives a session as a dataflow does, one step each time that it is let go on."""

    def __init__(self, name: str, kafka: Kafka, kinds: Kinds) -> None:
        super().__init__(name, kafka, self, kinds)
        self.fate = Fate()
        self.in_flight: list[Records] = []
        self.error: Exception | None = None
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
