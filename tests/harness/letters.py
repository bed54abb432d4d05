"""Dead letters as a worker lays them, and the commands on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from confluent_kafka import Producer

from domination.exactly_once.batch import Fault, Headers, Record
from domination.exactly_once.dead_letter import Coordinates
from domination.letter import FORM
from domination.ratings import Reason
from harness.processes import DOMINATION, PATIENT_SECONDS, run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.pipeline import Pipeline

FAULT = Fault(Reason.RATING_OUT_OF_RANGE, "an older version's verdict")
NOT_JSON = Fault(Reason.NOT_JSON, "not one JSON value")
HEADERS: Headers = [("trace", b"\x00"), ("trace", None)]


def lay(  # noqa: PLR0913 - most by name
    pipeline: Pipeline,
    values: Sequence[bytes],
    fault: Fault = FAULT,
    *,
    truncated: bool = False,
    topic: str | None = None,
    headers: Headers = HEADERS,
) -> None:
    """Lay dead letters, as a worker does, of records that were at the offsets from 0 on.

    `topic`: where the letters say that they come from; else the input topic.
    """
    producer = Producer({"bootstrap.servers": pipeline.bootstrap_servers})
    for offset, value in enumerate(values):
        at = Coordinates(pipeline.input if topic is None else topic, 0, offset, 1_700_000_000_000)
        told = FORM.write(Record(*at, None, value, headers), fault, None if truncated else headers)
        producer.produce(pipeline.dead, value, b"key-%d" % offset, headers=told)
    assert producer.flush(PATIENT_SECONDS) == 0


def good(count: int) -> list[bytes]:
    return [b'{"rating":%d,"unique_id":"human %d"}' % (number, number) for number in range(count)]


def command(pipeline: Pipeline, *arguments: str, code: int = 0) -> str:
    ended = run(*DOMINATION, "dead-letters", *arguments, environment=pipeline.environment)
    assert ended.returncode == code, ended.stderr
    return ended.stdout if code == 0 else ended.stderr


def sent_back(pipeline: Pipeline) -> list[bytes | None]:
    return sorted((each.value() for each in pipeline.read(pipeline.input).records), key=str)
