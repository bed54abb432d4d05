"""The session, driven against a model of Kafka by every order of events."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from domination.exactly_once.transactional import TRANSACTION_SECONDS
from harness.memory.assembly import Kinds
from harness.memory.broken import (
    CommitsInFlight,
    ForgetsDoubt,
    KeepsItsPlace,
    NeverDoubts,
    ReadsOn,
    TrustsATimeout,
)
from harness.memory.line import Fate
from harness.memory.system import WORKERS, System

NAMES = st.sampled_from(WORKERS)
OUTCOMES = st.sampled_from(
    [
        "ok",
        "ok",
        "ok",
        "again",
        "again",
        "disputed",
        "refused",
        "slow",
        "unanswered",
        "later",
        "never",
    ]
)
STEPS = st.sampled_from([0, 8, 16])
EVENTS = ["sync", "evict", "tell", "lose", "reach the sink", "expel"]
FATES = st.builds(Fate, OUTCOMES, st.integers(0, 3), st.booleans())


class Sessions(RuleBasedStateMachine):
    """Two workers, one group; whatever may happen to them, at any step."""

    kinds = Kinds()

    @initialize(eager=st.booleans(), settled=st.sampled_from([True, True, False]))
    def start(self, eager: bool, settled: bool) -> None:
        self.system = System(self.kinds, eager=eager)
        if settled:
            self.system.settle()

    @rule(
        name=NAMES,
        steps=st.sampled_from([0, 0, 0, 1, 2, 4, 8, 12]),
        flags=st.tuples(st.booleans(), st.booleans(), st.booleans(), st.booleans()),
        fate=FATES,
    )
    def act(self, name: str, steps: int, flags: tuple[bool, ...], fate: Fate) -> None:
        """Let a worker act some steps that go well, and one, maybe a request, as it is drawn."""
        again, sync, request, sink = flags
        self.system.work(name, steps, fate.records, again=again, sync=sync, sink=sink)
        while request and steps < 12 and isinstance(self.system.workers[name].waits_for, str):
            self.system.work(name, 1, fate.records, sync=sync)
            steps += 1
        self.system.act(name, fate)

    @rule(name=NAMES, outcome=OUTCOMES)
    def flush(self, name: str, outcome: str) -> None:
        self.system.workers[name].reach_the_sink()
        self.system.flush(name, outcome)

    @precondition(lambda self: self.system.kafka.wire)
    @rule(data=st.data())
    def arrive_late(self, data: st.DataObject) -> None:
        self.system.arrive_late(data.draw(st.integers(0, len(self.system.kafka.wire) - 1)))

    @rule(owners=st.tuples(NAMES, NAMES))
    def rebalance(self, owners: tuple[str, ...]) -> None:
        self.system.kafka.group.rebalance(owners)

    @rule(name=NAMES, event=st.sampled_from(EVENTS))
    def pass_by(self, name: str, event: str) -> None:
        """Let something happen that a worker does not ask for."""
        if event == "sync":
            self.system.workers[name].reader.client.sync()
        elif event == "evict":
            self.system.kafka.group.evict(name)
        elif event == "expel":
            self.system.expel(name)
        elif event == "reach the sink":
            self.system.workers[name].reach_the_sink()
        else:
            self.system.tell(name, lost=event == "lose")

    @rule(
        name=NAMES,
        steps=st.sampled_from([0, 8, 16]),
        lost=st.booleans(),
        owners=st.tuples(NAMES, NAMES),
    )
    def freeze(self, name: str, steps: int, lost: bool, owners: tuple[str, ...]) -> None:
        self.system.freeze(name, steps)
        self.system.tell(name, lost=lost)
        self.system.kafka.group.rebalance(owners)

    @rule(
        name=NAMES, fault=st.sampled_from(["crash", "sent", "stop", "take id", "slow", "time out"])
    )
    def hurt(self, name: str, fault: str) -> None:
        if fault in ("crash", "sent"):
            self.system.crash(name, sent=fault == "sent")
        elif fault == "stop":
            self.system.workers[name].stop.stopping = True
        elif fault == "take id":
            self.system.take_id(name)
        else:
            self.system.kafka.now += 3.0 if fault == "slow" else TRANSACTION_SECONDS
            self.system.kafka.time_out(name)

    @invariant()
    def none_is_lost_and_none_is_there_twice(self) -> None:
        if hasattr(self, "system"):
            self.system.check()

    def teardown(self) -> None:
        if hasattr(self, "system"):
            with closing(self.system):
                self.system.settle()


TestSessions = Sessions.TestCase
# Fifty events each: with more the soak of one seed takes minutes.
TestSessions.settings = settings(
    max_examples=min(settings().max_examples, 2000), suppress_health_check=list(HealthCheck)
)


@pytest.mark.parametrize(
    "broken",
    [
        Kinds(rule=CommitsInFlight),
        Kinds(rule=TrustsATimeout),
        Kinds(rule=KeepsItsPlace),
        Kinds(rule=NeverDoubts),
        Kinds(reader=ReadsOn),
        Kinds(writer=ForgetsDoubt),
    ],
)
def test_the_search_finds_what_is_broken(broken: Kinds) -> None:
    # One of many seeds that find each of them soon, of those that may take a minute.
    machine: Any = seed(1)(type("Broken", (Sessions,), {"kinds": broken}))
    search = settings(
        max_examples=1000,
        stateful_step_count=50,
        database=None,
        phases=[Phase.generate],
        report_multiple_bugs=False,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    with pytest.raises(AssertionError):
        run_state_machine_as_test(machine, settings=search)
