"""Latency: from a rating's sending until a read_committed reader has its shadow, at steady rates.

`make bench-latency` runs it. One process sends and reads, so that one clock tells both times; its
own share is in the first line, where it reads the ratings themselves. Writes
`benchmarks/results/latency.json`.
"""

from __future__ import annotations

import statistics
import threading
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click
from confluent_kafka import Consumer, Producer, TopicPartition

from arena import Arena, Load, arena, end, usage
from bench import fill, in_turn, save
from contestants import OURS, Contestant, streams

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Sequence

RATES: Final = (100, 1_000, 10_000, 50_000)
CONTESTANTS: Final = (
    OURS,
    streams(
        "Kafka Streams, commit.interval.ms=100", producer_linger_ms="0", commit_interval_ms="100"
    ),
    streams(
        "Kafka Streams, commit.interval.ms=10", producer_linger_ms="0", commit_interval_ms="10"
    ),
    streams("Kafka Streams, commit.interval.ms=1", producer_linger_ms="0", commit_interval_ms="1"),
)
_PARTITIONS: Final = 3
_TICK_SECONDS: Final = 0.002
_PERCENTILES: Final = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999, "max": 1.0}


class Latency(NamedTuple):
    """Milliseconds from sending to reading, over all records of a run."""

    rate: int
    """Ratings a second."""
    records: int
    milliseconds: dict[str, float]
    """By percentile."""
    cores: float
    """CPU seconds a second of the one measured; 0 for the measuring itself."""


class _Traffic:
    """Sends ratings at a rate and notes when; reads what comes of them and notes when."""

    def __init__(self, brokers: str, ratings: str, shadows: str, rate: int) -> None:
        client: dict[str, Any] = {"bootstrap.servers": brokers, "log_level": 0}
        self._producer = Producer(client | {"linger.ms": 0, "compression.type": "lz4"})
        self._ratings = ratings
        self._rate = rate
        self._sent: list[float] = []
        self._consumer = Consumer(
            client
            | {"group.id": "reader", "isolation.level": "read_committed"}
            | {"enable.auto.commit": False, "fetch.queue.backoff.ms": 10}
        )
        self._consumer.assign([TopicPartition(shadows, n, 0) for n in range(_PARTITIONS)])
        self._seen: dict[int, float] = {}
        self._going = threading.Event()
        self._going.set()
        self._reading = threading.Thread(target=self._read)
        self._reading.start()

    def send(self, seconds: float) -> None:
        """Send for so long."""
        started, first = time.perf_counter(), len(self._sent)
        while (now := time.perf_counter()) < started + seconds:
            due = first + int((now - started) * self._rate) - len(self._sent)
            batch = []
            for number in range(len(self._sent), len(self._sent) + due):
                value = b'{"rating":%d,"unique_id":"%036d"}' % (number % 101, number)
                batch.append({"value": value, "key": b"%d" % number})
            now = time.perf_counter()
            assert self._producer.produce_batch(self._ratings, batch) == len(batch)
            self._sent += [now] * len(batch)
            self._producer.poll(0)
            time.sleep(_TICK_SECONDS)

    def arrived(self, seconds: float) -> bool:
        """Wait until everything sent has been read, or for so long."""
        deadline = time.monotonic() + seconds
        while len(self._seen) < len(self._sent) and time.monotonic() < deadline:
            time.sleep(0.01)
        return len(self._seen) == len(self._sent)

    def finish(self, first: int) -> list[float]:
        """Give the milliseconds of each record from the first to count on, sorted."""
        self._going.clear()
        self._reading.join()
        self._consumer.close()
        return sorted(1000 * (self._seen[n] - self._sent[n]) for n in range(first, len(self._sent)))

    @property
    def count(self) -> int:
        """How many were sent."""
        return len(self._sent)

    def _read(self) -> None:
        while self._going.is_set():
            first = self._consumer.poll(0.1)
            if first is None:
                continue
            messages = [first, *self._consumer.consume(5000, 0)]
            now = time.perf_counter()
            for message in messages:
                value = message.value() or b""
                at = value.index(b'"unique_id":"') + 13
                number = int(value[at : at + 36])
                assert number not in self._seen, f"{number} twice"
                self._seen[number] = now


def measure(
    place: Arena, contestant: Contestant | None, rate: int, seconds: float, warm: float
) -> Latency:
    """Measure one at a rate; without a contestant the measuring itself."""
    load = Load(place.topic("ratings", _PARTITIONS), _PARTITIONS, {}, 0)
    environment = place.environment(load)
    process: subprocess.Popen[bytes] | None = None
    if contestant:
        command = fill(contestant, load, place.directory)
        process = place.start(command, environment | contestant.environment)
    shadows = environment["DOMINATION_OUTPUT_TOPIC"] if contestant else load.topic
    traffic = _Traffic(place.bootstrap_servers, load.topic, shadows, rate)
    try:
        traffic.send(0.1)
        assert traffic.arrived(60), "nothing came"
        traffic.send(warm)
        first, before = traffic.count, usage(process.pid) if process else None
        traffic.send(seconds)
        after = usage(process.pid) if process else None
        assert traffic.arrived(60), "not everything came"
    finally:
        found = traffic.finish(traffic.count if not traffic.arrived(0) else first)
        if process:
            end(process)
    cores = (after.cpu - before.cpu) / seconds if before and after else 0.0
    at = {name: found[int(share * (len(found) - 1))] for name, share in _PERCENTILES.items()}
    return Latency(rate, len(found), at, cores)


def median(runs: Sequence[Latency]) -> Latency:
    """Give the medians of several rounds, percentile by percentile."""
    at = {name: statistics.median(run.milliseconds[name] for run in runs) for name in _PERCENTILES}
    cores = statistics.median(run.cores for run in runs)
    return Latency(runs[0].rate, sum(run.records for run in runs), at, cores)


@click.command()
@click.option("--seconds", default=5.0, show_default=True, help="Of each measurement.")
@click.option("--warm", default=3.0, show_default=True, help="Seconds before it that do not count.")
@click.option("--rounds", default=3, show_default=True, help="The medians of so many are told.")
@click.option("--rate", "rates", multiple=True, type=int, default=RATES, show_default=True)
def main(seconds: float, warm: float, rounds: int, rates: tuple[int, ...]) -> None:
    """Measure latency, everyone in turn."""
    found: dict[str, list[Latency]] = {}
    click.echo(f"{'':<40}{'records/s':>10}" + "".join(f"{name:>9}" for name in _PERCENTILES))
    everyone: list[Contestant | None] = [None, *CONTESTANTS]
    with arena() as place:
        # One that does not count: the broker's first transactions are slow.
        measure(place, OURS, RATES[0], warm, 0)
        for rate in rates:
            runs: dict[str, list[Latency]] = {_name(each): [] for each in everyone}
            for _, each in in_turn(everyone, rounds):
                runs[_name(each)].append(measure(place, each, rate, seconds, warm))
            for name, all_of_it in runs.items():
                one = median(all_of_it)
                found.setdefault(name, []).append(one)
                values = "".join(f"{value:9.1f}" for value in one.milliseconds.values())
                click.echo(f"{name:<40}{rate:>10,}{values}   {one.cores:.2f} cores")
    told = {name: [each._asdict() for each in all_of_it] for name, all_of_it in found.items()}
    save("latency", seconds=seconds, rounds=rounds, milliseconds=told)


def _name(contestant: Contestant | None) -> str:
    return contestant.name if contestant else "the measuring itself"


if __name__ == "__main__":
    main()
