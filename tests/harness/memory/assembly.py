"""A session put together in memory, from parts that a test may replace."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from domination.exactly_once.availability import Availability
from domination.exactly_once.batch import Fault
from domination.exactly_once.dead_letter import Form
from domination.exactly_once.defaults import Quiet
from domination.exactly_once.parts import Parts
from domination.exactly_once.rule import Transaction
from domination.exactly_once.session import Session
from domination.exactly_once.target import Target
from domination.exactly_once.transactional import TRANSACTION_SECONDS
from domination.kafka.faults import Rights
from harness.memory.line import Sound
from harness.memory.owner import MemoryClock, MemoryEndOffsets, MemoryStop, Ready
from harness.memory.reader import MemoryReader
from harness.memory.topic import INPUT
from harness.memory.writer import MemoryWriter

if TYPE_CHECKING:
    from collections.abc import Callable

    from domination.exactly_once.batch import Records
    from domination.exactly_once.ports import Change, Observer
    from harness.memory.kafka import Kafka
    from harness.memory.line import Line

COMMIT_SECONDS: Final = 1.0
WANTED: Final = 2
"""A poll that brings fewer records has drained the input."""
OUTPUT: Final = "out"
DEAD_LETTERS: Final = "dead"
TOO_LARGE: Final = Fault("too_large", "no topic takes it")
_LOG: Final = logging.getLogger("memory")
_LOG.addHandler(logging.NullHandler())
_LOG.propagate = False


class Kinds(NamedTuple):
    """What a session is made of."""

    rule: type[Transaction] = Transaction
    reader: type[MemoryReader] = MemoryReader
    writer: type[MemoryWriter] = MemoryWriter
    session: type[Session] = Session


class Assembly:
    """A session on the model, and what it works with."""

    reader: MemoryReader
    """The one it has at the moment."""

    def __init__(  # noqa: PLR0913 - most by name, with a default
        self,
        name: str,
        kafka: Kafka,
        line: Line,
        kinds: Kinds,
        *,
        preflight: Ready | None = None,
        observer: Observer | None = None,
        limit: float = float("inf"),
    ) -> None:
        self.kafka = kafka
        self.clock = MemoryClock(kafka)
        self.stop = MemoryStop(self.clock)
        self.rule = kinds.rule(COMMIT_SECONDS, TRANSACTION_SECONDS)
        target = Target(name, INPUT, (OUTPUT,), DEAD_LETTERS, Form("memory."), TOO_LARGE, Rights())
        self.writer = kinds.writer(kafka, line, self.clock, target)

        self._new_reader = partial(kinds.reader, kafka, line, self.clock, name)
        self.session = kinds.session(
            Parts(
                rule=self.rule,
                name=name,
                topic=INPUT,
                readers=self,
                writer=self.writer,
                end_offsets=MemoryEndOffsets(kafka),
                preflight=preflight or Ready(),
                # Nothing here is worth a search for garbage.
                availability=Availability("memory", limit, self.stop, self.clock, _LOG, free=int),
                observer=observer or Quiet(),
                clock=self.clock,
                stop=self.stop,
                log=_LOG,
                commit_interval=COMMIT_SECONDS,
                joining="joining",
            )
        )

    def make(self, changes: Callable[[Change], None]) -> MemoryReader:
        """Make the session's next reader: an assembly is its `Readers`."""
        self.reader = self._new_reader(changes)
        self.reader.wanted = WANTED
        return self.reader

    def require_topic(self, now: float) -> None:
        """Find out at once where the topic was created again."""
        del now
        self.reader.require_topic()

    def broken(self) -> bool:
        """Tell that no connection has fallen silent."""
        return False

    def outdated(self) -> str | None:
        """Tell that each reader reads alike."""
        return None


class Alone(Assembly):
    """One worker, on a line on which all goes well until a test says otherwise."""

    def __init__(
        self,
        kafka: Kafka,
        kinds: Kinds = Kinds(),  # noqa: B008 - a value
        *,
        preflight: Ready | None = None,
        observer: Observer | None = None,
        limit: float = 120.0,
    ) -> None:
        self.line = Sound(kafka)
        super().__init__(
            "a", kafka, self.line, kinds, preflight=preflight, observer=observer, limit=limit
        )

    def turn(self) -> list[Records] | None:
        """Let the group and the session do one step."""
        if not self.reader.member:
            self.kafka.group.rebalance(("a",) * len(self.kafka.topic.ends))
        self.reader.client.sync()
        return self.session.next_batch()

    def batch(self) -> Records:
        """Go on until there is a batch."""
        for _ in range(20):
            if batches := self.turn():
                return batches[0]
        raise AssertionError("no batch comes")

    def work(self, turns: int) -> None:
        """Let a dataflow run whose steps do nothing, a tenth of a second a turn."""
        for _ in range(turns):
            self.clock.sleep(0.1)
            for batch in self.turn() or ():
                self.session.write(batch)
