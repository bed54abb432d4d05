"""A `Writer` on the model of Kafka."""

from __future__ import annotations

from contextlib import suppress
from itertools import repeat
from typing import TYPE_CHECKING, Any, Final

from domination.exactly_once.batch import Reject
from domination.exactly_once.columns import columns
from domination.exactly_once.dead_letter import size
from domination.exactly_once.ports import CallError
from domination.exactly_once.rule import Failure
from domination.kafka.faults import FencedError
from harness.memory.requests import Answer, EndTransaction, Init, Produce, SendOffsets, Sent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from domination.exactly_once.batch import Fault, Outcome, Record
    from domination.exactly_once.rule import Position
    from domination.exactly_once.target import Target
    from harness.memory.kafka import Kafka
    from harness.memory.line import Line
    from harness.memory.owner import MemoryClock
    from harness.memory.requests import Request

_TICK_SECONDS: Final = 0.001
_FAILURES: Final = {
    Answer.REFUSED: Failure.ABORTABLE,
    Answer.TOO_LARGE: Failure.ABORTABLE,
    Answer.FENCED: Failure.FENCED,
    Answer.SLOW: Failure.UNKNOWN,
    Answer.NONE: Failure.UNKNOWN,
}


class MemoryWriter:
    """Writes to the model in transactions under one id, as librdkafka's producer would."""

    def __init__(self, kafka: Kafka, line: Line, clock: MemoryClock, target: Target) -> None:
        self.kafka = kafka
        self.target = target
        self._line = line
        self._clock = clock
        self._limits: dict[str, int] = {}
        self._limits_known = False
        self._live = self._owner = self._open = self._doubt = False
        self._epoch = -1
        self._serial = 0
        self._unsent: list[Sent] = []
        self._refused: Answer | None = None
        """The answer to what was sent in the background, if it is not OK."""

    @property
    def unsent(self) -> int:
        return len(self._unsent)

    @property
    def throttled(self) -> float:
        return 0.0

    def renew(self, timeout: float) -> None:
        if self._owner:
            self.discard()
        if not self._limits_known:
            self._limits = {name: self.kafka.limits[name] for name in self.target.topics}
            self._limits_known = True
        self._live = True
        self._call(Init(self.target.transactional_id, -1), timeout)
        self._epoch = self.kafka.states[self.target.transactional_id].epoch
        self._owner, self._doubt = True, False

    def in_doubt(self) -> bool:
        return self._owner and self._live and self._doubt

    def begin(self) -> None:
        self._require_live()
        self._open = True

    def write(self, outcome: Outcome) -> list[Reject]:
        self._require_live()
        sent = columns(outcome, self.target.write)
        places = outcome.kept(range(len(outcome.records)))
        headers, timestamps = sent.headers or repeat(None), sent.timestamps or repeat(0)
        too_large = []
        for place, topic, key, value, of_it, at in zip(
            places, sent.topics, sent.keys, sent.values, headers, timestamps, strict=False
        ):
            if size(key, value, of_it) > self._limits[topic]:
                too_large.append(Reject(place, self.target.too_large))
            else:
                self._unsent.append(Sent(topic, key, value, of_it or [], at))
        letters = [*(each for each in outcome.rejects if not each.dropped), *too_large]
        self._unsent += [self._letter(outcome.records.record(e.place), e.fault) for e in letters]
        return too_large

    def send_offsets(self, positions: Mapping[int, Position], proof: Any, timeout: float) -> None:
        self._require_producer()
        self.flush(self._line)
        self._raise_refused()
        self._call(self._request(SendOffsets, dict(positions), *proof), timeout)

    def commit(self, timeout: float) -> None:
        self._require_producer()
        self.flush(self._line)
        self._raise_refused()
        self._call(self._request(EndTransaction, commit=True), timeout)
        self._open = False

    def abort(self, timeout: float) -> None:
        self._require_producer()
        self._unsent.clear()
        self._call(self._request(EndTransaction, commit=False), timeout)
        self._refused, self._open = None, False

    def shrink(self) -> None:
        self._limits_known = False

    def discard(self) -> None:
        self._live = self._owner = self._open = self._doubt = False
        self._refused = None
        self._unsent.clear()

    def close(self, timeout: float) -> None:
        if self._open:
            with suppress(CallError):
                self.abort(timeout)
        self.discard()

    def flush(self, line: Line) -> None:
        """Send what is written, over a line; what comes of it is told by the next call."""
        if self._unsent and self._refused is None:
            request = self._request(Produce, tuple(self._unsent), self._serial)
            self._serial += 1
            self._unsent.clear()
            answer, doubt = line.send(request)
            self._doubt |= doubt
            self._refused = None if answer is Answer.OK else answer

    def _letter(self, record: Record, fault: Fault) -> Sent:
        topic, form = self.target.dead_letters, self.target.form
        whole = Sent(topic, record.key, record.value, form.write(record, fault, record.headers), 0)
        if size(*whole[1:4]) <= self._limits[topic]:
            return whole
        own = form.write(record, fault, None)
        short = whole._replace(value=b"", headers=[*(record.headers or ()), *own])
        fits = size(*short[1:4]) <= self._limits[topic]
        return short if fits else Sent(topic, None, b"", own, 0)

    def _request(self, kind: type[Request], *parts: Any, **named: Any) -> Request:
        return kind(self.target.transactional_id, self._epoch, *parts, **named)

    def _require_producer(self) -> None:
        if not self._live:
            raise CallError("the producer has been discarded", echo=True)

    def _require_live(self) -> None:
        self._require_producer()
        if self._refused:
            raise CallError("the transaction has failed", echo=True)

    def _raise_refused(self) -> None:
        if self._refused:
            raise _error(self._refused)

    def _call(self, request: Request, timeout: float) -> None:
        answer, doubt = self._line.send(request)
        self._doubt |= doubt
        if answer in {Answer.SLOW, Answer.NONE}:
            self._clock.sleep(max(timeout, _TICK_SECONDS))
        if answer is not Answer.OK:
            raise _error(answer)


def _error(answer: Answer) -> CallError:
    fenced = FencedError("another producer has this one's transactional id")
    return CallError(
        answer.name,
        _FAILURES[answer],
        fenced if answer is Answer.FENCED else None,
        answered=answer not in {Answer.SLOW, Answer.NONE},
        retriable=answer is Answer.SLOW,
        too_large=answer is Answer.TOO_LARGE,
    )
