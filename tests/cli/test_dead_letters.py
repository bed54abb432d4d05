"""What cannot be judged, or cannot be written, becomes a dead letter on a real Kafka."""

from __future__ import annotations

from typing import TYPE_CHECKING

from confluent_kafka import Producer

from harness import foreign
from harness.letters import command
from harness.processes import eventually
from harness.records import humans

if TYPE_CHECKING:
    from harness.pipeline import Pipeline


def test_a_dead_letter_is_the_original_with_its_place_and_reason(pipeline: Pipeline) -> None:
    pipeline.create(partitions=1)
    producer = Producer({"bootstrap.servers": pipeline.bootstrap_servers})
    producer.produce(pipeline.input, b'{"rating":15,"unique_id":"good"}')
    headers: list[tuple[str, str | bytes | None]] = [
        ("trace", b"\x00\x01"),
        ("trace", b"again"),
        ("none", None),
    ]
    producer.produce(
        pipeline.input, b"\xff{", b"\x00key", headers=headers, timestamp=1_700_000_000_000
    )
    producer.flush()
    worker = pipeline.worker()
    pipeline.drained()
    assert worker.stop() == 0
    (letter,) = pipeline.read(pipeline.dead).records
    assert (letter.value(), letter.key()) == (b"\xff{", b"\x00key")
    assert letter.headers() == [
        *headers,
        ("domination.error.reason", b"not_utf8"),
        ("domination.error.message", b"invalid UTF-8 at byte 0"),
        ("domination.error.topic", pipeline.input.encode()),
        ("domination.error.partition", b"0"),
        ("domination.error.offset", b"1"),
        ("domination.error.timestamp", b"1700000000000"),
    ]


def test_a_shadow_too_large_for_its_topic_becomes_a_dead_letter(pipeline: Pipeline) -> None:
    pipeline.create(output={"max.message.bytes": "2000"})
    large = b'{"rating":3,"unique_id":"%b"}' % (b"x" * 3000)
    pipeline.send([*humans(3000), (large, b"key-1"), *humans(3000, seed=2)])
    worker = pipeline.worker()
    pipeline.drained()
    assert worker.stop() == 0
    pipeline.exactly_once({large: "shadow_too_large"})
    assert "aborting" not in pipeline.outputs()


def test_a_limit_that_shrinks_while_the_worker_runs_is_learned(pipeline: Pipeline) -> None:
    pipeline.create()
    large = b'{"rating":3,"unique_id":"%b"}' % b"".join(b"%d," % n for n in range(5000))
    worker = pipeline.worker()
    pipeline.send(humans(100))
    pipeline.drained()
    pipeline.configure(pipeline.output, "max.message.bytes", "2000")
    pipeline.send([*humans(1000, seed=2), (large, b"key-1"), *humans(1000, seed=3)])
    pipeline.drained()
    assert worker.stop() == 0
    pipeline.exactly_once({large: "shadow_too_large"})


def test_a_limit_that_grows_while_the_worker_runs_is_learned(pipeline: Pipeline) -> None:
    pipeline.create(output={"max.message.bytes": "2000"})
    large = b'{"rating":3,"unique_id":"%b"}' % (b"x" * 3000)
    worker = pipeline.worker()
    pipeline.send([(large, b"key-1")])
    pipeline.drained()
    assert "0 sent back" in command(pipeline, "replay", "--yes")
    pipeline.configure(pipeline.output, "max.message.bytes", "20000")

    def sent_on() -> bool:
        # What the worker was told is good for some seconds; until then it is laid aside again.
        command(pipeline, "replay", "--yes")
        pipeline.drained()
        return bool(pipeline.read(pipeline.output).records)

    eventually(sent_on)
    assert worker.stop() == 0
    assert len(pipeline.read(pipeline.output).records) == 1
    assert "0 sent back" in command(pipeline, "replay", "--yes")


def test_a_dead_letter_is_whole_once_its_topic_takes_it(pipeline: Pipeline) -> None:
    pipeline.create()
    pipeline.configure(pipeline.dead, "max.message.bytes", "2000")
    worker = pipeline.worker()
    pipeline.started()
    pipeline.configure(pipeline.dead, "max.message.bytes", "20000")

    def whole() -> bool:
        pipeline.send([(b"x" * 3000, b"key-1")])
        pipeline.drained()
        letters = pipeline.read(pipeline.dead).records
        return any(each.value() for each in letters)

    eventually(whole)
    assert worker.stop() == 0


def test_a_dead_letter_too_large_to_be_sent_again_is_sent_without_its_value(
    pipeline: Pipeline,
) -> None:
    pipeline.create(partitions=1)
    # As large as the input topic takes: with the headers it is more than the other one does.
    pipeline.send([(b"x" * (1_048_588 - 90), b"key")])
    worker = pipeline.worker()
    pipeline.drained()
    assert worker.stop() == 0
    (letter,) = pipeline.read(pipeline.dead).records
    headers = dict(letter.headers() or [])
    assert (letter.value(), letter.key()) == (b"", b"key")
    assert headers["domination.error.truncated"] == b"1"
    assert headers["domination.error.offset"] == b"0"
    assert headers["domination.error.reason"] == b"not_json"


def test_a_dead_letter_whose_header_has_no_readable_name_is_sent_without_its_own_headers(
    pipeline: Pipeline,
) -> None:
    pipeline.create(partitions=1)
    # Kafka takes any bytes for a header's name, and some clients send them.
    headers = [(b"before", b"1"), (b"\xff\xfe", b"2"), (b"after", b"3")]
    for value in (b"bad", b'{"rating":3,"unique_id":"x"}'):
        foreign.send(pipeline.bootstrap_servers, pipeline.input, value, b"key", headers)
    worker = pipeline.worker()
    pipeline.drained()
    assert worker.stop() == 0
    (letter,) = pipeline.read(pipeline.dead).records
    assert (letter.value(), letter.key()) == (b"bad", b"key")
    told = dict(letter.headers() or [])
    assert told["domination.error.reason"] == b"not_json"
    assert told["domination.error.offset"] == b"0"
    assert told["domination.error.truncated"] == b"1"
    assert all(name.startswith("domination.error.") for name in told)
    (shadow,) = pipeline.read(pipeline.output).records
    assert shadow.headers() is None


def test_a_record_that_is_small_only_while_compressed_stops_nothing(pipeline: Pipeline) -> None:
    pipeline.create(partitions=1)
    config: dict[str, str | int] = {
        "bootstrap.servers": pipeline.bootstrap_servers,
        "message.max.bytes": 200_000_000,
        "compression.type": "zstd",
    }
    producer = Producer(config)
    # The topic's limit is that of a compressed batch, and this one has some kilobytes.
    producer.produce(pipeline.input, b"x" * 110_000_000, b"key")
    producer.flush()
    pipeline.send(humans(100))
    worker = pipeline.worker(KAFKA_RECEIVE_MESSAGE_MAX_BYTES="400000000")
    pipeline.drained()
    assert worker.stop() == 0
    (letter,) = pipeline.read(pipeline.dead).records
    told = dict(letter.headers() or [])
    assert told["domination.error.reason"] == b"not_json"
    assert told["domination.error.truncated"] == b"1"
    assert len(pipeline.read(pipeline.output).records) == 100
