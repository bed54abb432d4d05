"""Who is measured: what each is, what it promises, and how it is started."""

from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path
from typing import Final, NamedTuple

import confluent_kafka

import harness.streams as kafka_streams
from arena import COMMIT_SECONDS
from harness.contender import CONTENDERS, Contender
from harness.processes import ROOT

_PROGRAMS: Final = Path(__file__).parent / "contestants"
_LIMIT: Final = ROOT / ".rivals" / "limit" / "limit"
_BYTEWAX, _FAUST, _QUIX = CONTENDERS[1:4]
EXACTLY: Final = "exactly once"
AT_LEAST: Final = "at least once"


class Contestant(NamedTuple):
    """A way to do the work."""

    name: str
    guarantee: str
    command: tuple[str, ...]
    version: str
    environment: dict[str, str] = {}  # noqa: RUF012 - nobody changes it
    prepare: tuple[str, ...] = ()
    """What has to run once before; {directory} is for what it keeps, here as in `command`."""
    missing: str = ""
    """Why it cannot run here."""


def _streams(name: str, guarantee: str, **settings: str) -> Contestant:
    """Kafka Streams, its clients as ours where they have the same setting."""
    own = {
        "processing.guarantee": guarantee,
        "commit.interval.ms": str(int(1000 * COMMIT_SECONDS)),
        "num.stream.threads": "1",
        "consumer.auto.offset.reset": "earliest",
        "consumer.max.poll.records": "3000",
        "producer.linger.ms": "20",
        "producer.compression.type": "lz4",
        "producer.batch.size": "1000000",
        "producer.buffer.memory": "67108864",
        "state.dir": "{directory}",
    } | {key.replace("_", "."): value for key, value in settings.items()}
    return Contestant(
        name,
        EXACTLY if guarantee == "exactly_once_v2" else AT_LEAST,
        ("java", *kafka_streams.arguments("1g", own)),
        kafka_streams.version(),
        missing="" if (kafka_streams.HOME / ".done").exists() else "no mvn, or no JDK",
    )


def _loop(name: str, guarantee: str, *arguments: str) -> Contestant:
    program = str(_PROGRAMS / "loop.py")
    return Contestant(
        name, guarantee, (sys.executable, program, *arguments), confluent_kafka.version()
    )


def _rival(
    contender: Contender, guarantee: str, arguments: tuple[str, ...], **environment: str
) -> Contestant:
    """One of those who stood the faults, as its own program has it (`tests/chaos/contenders`)."""
    there = Path(contender.program).exists()
    return Contestant(
        contender.name,
        guarantee,
        (contender.program, *arguments),
        contender.version() if there else "",
        environment,
        (contender.program, *contender.prepare) if contender.prepare else (),
        "" if there else "not installed",
    )


def streams(name: str, **settings: str) -> Contestant:
    """Kafka Streams, exactly once, with some settings of its clients."""
    return _streams(name, "exactly_once_v2", **settings)


OURS: Final = Contestant(
    "Domination",
    EXACTLY,
    (sys.executable, "-m", "domination", "worker"),
    metadata.version("domination"),
)
STREAMS: Final = streams("Kafka Streams")
CONTESTANTS: Final = (
    OURS,
    STREAMS,
    _streams("Kafka Streams, at least once", "at_least_once"),
    _rival(
        _BYTEWAX,
        AT_LEAST,
        (
            *("-m", "bytewax.run", f"{ROOT / 'tests' / 'contenders' / 'stock_bytewax.py'}:flow"),
            # A snapshot a second: with one at every epoch it is slower.
            *("-r", "{directory}", "-s", "1", "-b", "0"),
        ),
    ),
    _loop("confluent-kafka, by the record", AT_LEAST),
    _loop("confluent-kafka, in transactions", EXACTLY, "--transactions"),
    _rival(_QUIX, EXACTLY, _QUIX.arguments),
    _rival(_FAUST, AT_LEAST, _FAUST.arguments, FAUST_GUARANTEE="at_least_once"),
    Contestant(
        "the limit, in C",
        "none",
        (str(_LIMIT),),
        confluent_kafka.libversion()[0],
        missing="" if _LIMIT.exists() else "no C compiler",
    ),
)
HALVES: Final = tuple(
    Contestant(
        f"{half} only",
        "none",
        (sys.executable, str(_PROGRAMS / "half.py"), half, "{records}", "{partitions}"),
        confluent_kafka.version(),
    )
    for half in ("consume", "produce")
)
