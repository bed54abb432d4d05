"""A model of two workers of one group, and of what may happen to them."""

from __future__ import annotations

from domination.transaction import Transaction
from kafka_model import FIRST, TRANSACTION_SECONDS, Answer, Group, Init, Kafka, Request, State
from worker_model import IDLE, Fate, Worker

WORKERS = ("a", "b")


class System:
    """Two workers, one group, and Kafka; what happens to them is a method each."""

    def __init__(
        self,
        rule: type[Transaction] = Transaction,
        worker: type[Worker] = Worker,
        *,
        eager: bool = False,
    ) -> None:
        self.rule = rule
        self.worker = worker
        self.kafka = Kafka(Group(eager), {name: State() for name in WORKERS})
        self.taken: set[str] = set()
        """Transactional ids that another producer may have taken."""
        self.workers = {name: self.start(name) for name in WORKERS}

    def start(self, name: str) -> Worker:
        rule = self.rule(commit_interval=2.0, transaction_timeout=TRANSACTION_SECONDS)
        worker = self.worker(name, self.kafka, rule)
        self.kafka.group.clients[name] = worker.member
        return worker

    def act(self, name: str, fate: Fate = Fate()) -> None:  # noqa: B008 - it never changes
        """Let a worker go on to the next point where others may come between."""
        worker = self.workers[name]
        answer = self.carry(worker, worker.waits_for, fate.outcome)
        try:
            worker.waits_for = worker.script.send((answer, fate))
        except StopIteration:
            assert not worker.fenced or name in self.taken, "fenced, and by no other producer"
            self.crash(name)

    def carry(self, worker: Worker, request: Request | str, outcome: str) -> Answer:
        """Bring a request to Kafka, and its answer back, as far as the outcome allows."""
        if isinstance(request, str):
            return Answer.OK if outcome in ("ok", "again") else Answer.NONE
        if outcome == "refused":
            return Answer.REFUSED
        if outcome != "ok":
            worker.doubt = True
        if outcome in ("later", "again"):
            self.kafka.wire.append(request)
        if outcome in ("later", "never"):
            return Answer.NONE
        answer = self.kafka.receive(request)
        return Answer.NONE if outcome == "unanswered" else answer

    def arrive_late(self, index: int = 0) -> None:
        """Let a request arrive that its client has given up, or sent again."""
        request = self.kafka.wire.pop(index)
        if isinstance(request, Init):
            self.taken.add(request.writer)
        self.kafka.receive(request)

    def flush(self, name: str, outcome: str = "ok") -> None:
        """Let the producer send in the background what it has."""
        worker = self.workers[name]
        if worker.unsent and worker.refused is None:
            answer = self.carry(worker, worker.produce(), outcome)
            worker.refused = None if answer is Answer.OK else answer

    def work(  # noqa: PLR0913 - each is a way to go well
        self,
        name: str,
        steps: int = 8,
        records: int = 2,
        *,
        again: bool = False,
        sync: bool = True,
        sink: bool = True,
    ) -> None:
        """Let all go well for a while.

        Maybe each request is sent twice, SyncGroup has no answer, or no batch reaches the sink.
        """
        for _ in range(steps):
            worker = self.workers[name]
            self.kafka.now += 0.5
            if sync:
                worker.member.sync()
            twice = again and not isinstance(worker.waits_for, Init)
            self.act(name, Fate("again" if twice else "ok", records))
            worker = self.workers[name]
            while sink and worker.waits_for == IDLE and worker.in_flight:
                worker.reach_the_sink()

    def until(self, name: str, point: type[Request], *, sink: bool = True) -> Worker:
        """Let all go well until a worker is about to send a request of a kind."""
        for _ in range(60):
            worker = self.workers[name]
            if isinstance(worker.waits_for, point):
                return worker
            self.kafka.now += 0.5
            self.act(name)
            if sink:
                worker.reach_the_sink()
        raise AssertionError(f"{name} never comes to {point.__name__}")

    def crash(self, name: str, *, sent: bool = False) -> None:
        """Kill a worker and start it again; its membership and its transaction stay for a while."""
        worker = self.workers[name]
        if sent and isinstance(worker.waits_for, Request):
            self.kafka.wire.append(worker.waits_for)
        worker.member.alive = False
        self.workers[name] = self.start(name)

    def freeze(self, name: str, steps: int = 0) -> None:
        """Let a member miss its session, and the other one read its partitions."""
        other = next(each for each in WORKERS if each != name)
        self.kafka.group.evict(name)
        # Again, since with the cooperative protocol partitions may have to be given up first.
        self.kafka.group.rebalance((other, other))
        self.work(other, steps)

    def take_id(self, name: str) -> None:
        """Let another producer take the transactional id."""
        self.taken.add(name)
        self.kafka.fence(name)

    def tell(self, name: str, *, lost: bool) -> None:
        self.kafka.group.tell(self.workers[name].member, lost=lost)

    def settle(self) -> None:
        """Let the faults end: whatever has happened, both workers find back to work."""
        self.kafka.wire.clear()
        before = dict(self.kafka.committed)
        for _ in range(60):
            for member in list(self.kafka.group.members.values()):
                if not member.alive:
                    self.kafka.group.evict(member.name)
            for name in WORKERS:
                self.tell(name, lost=True)
                self.kafka.time_out(name)
            self.kafka.group.rebalance(WORKERS)
            for name in WORKERS:
                self.work(name)
            self.check()
            owners = [self.workers[name].member.granted for name in WORKERS]
            if owners == [{0}, {1}] and all(
                self.kafka.committed.get(p, 0) > before.get(p, FIRST[p]) for p in FIRST
            ):
                return
        raise AssertionError("a worker does not find back to work")

    def check(self) -> None:
        """At any moment the output is exactly what the committed offsets say has been read."""
        lost, twice = self.kafka.faults()
        assert not lost, f"lost: {lost}"
        assert not twice, f"twice: {twice}"
        assert self.kafka.in_order(), "out of order"
