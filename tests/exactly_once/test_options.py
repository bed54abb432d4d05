"""What two ends refuse to be told, before anything connects, and what they keep of it."""

from __future__ import annotations

from threading import Event
from typing import Any
from uuid import uuid4

import pytest

from domination.exactly_once.ends import Ends
from domination.exactly_once.options import DEFAULTS, Options, Topics
from domination.exactly_once.writer import KafkaWriter
from domination.kafka.faults import SettingError

FIT = Topics("orders", ("bills", "refunds"), "letters")


def ends(topics: Topics = FIT, group: str = "g", options: Options = DEFAULTS) -> Ends:
    return Ends({"bootstrap.servers": "127.0.0.1:1"}, topics, group, options=options)


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"topics": Topics("orders", "bills", "letters")}, "a tuple of names, not 'bills'"),  # type: ignore[arg-type]
        ({"topics": Topics("orders", (), "letters")}, r"a tuple of names, not \(\)"),
        ({"topics": Topics("", ("bills",), "letters")}, "is empty"),
        ({"topics": Topics("orders", ("bills", " "), "letters")}, "is empty"),
        ({"topics": Topics("orders", ("bills",), "")}, "is empty"),
        ({"topics": Topics("orders", ("bills", "bills"), "letters")}, "topic bills is named twice"),
        ({"topics": Topics("orders", ("orders",), "letters")}, "topic orders is named twice"),
        ({"topics": Topics("orders", ("bills",), "bills")}, "topic bills is named twice"),
        ({"topics": Topics("orders", ("bills",), "orders")}, "topic orders is named twice"),
        ({"group": ""}, "is empty"),
        ({"options": Options(name=" ")}, "is empty"),
        ({"topics": Topics("t" * 250, ("bills",), "letters")}, "is longer than 249 characters"),
        ({"topics": Topics("orders", ("bills/2",), "letters")}, "is not a valid topic name"),
        ({"topics": Topics("orders", ("bills",), "..")}, "is not a valid topic name"),
        ({"group": "g" * 33_000}, "is longer than 4,000 bytes"),
        ({"options": Options(instance="i" * 33_000)}, "is longer than 4,000 bytes"),
        ({"options": Options(name="n" * 33_000)}, "is longer than 4,000 bytes"),
        ({"options": Options(commit_interval=0)}, "interval is 0 s: it must be above 0, at most 5"),
        (
            {"options": Options(commit_interval=60)},
            "interval is 60 s: it must be above 0, at most 5",
        ),
        ({"options": Options(commit_interval=float("nan"))}, "interval is nan s"),
        ({"options": Options(availability_timeout=0)}, "timeout is 0 s: it must be above 0"),
        ({"options": Options(availability_timeout=float("nan"))}, "timeout is nan s"),
    ],
)
def test_what_cannot_work_is_refused_in_one_line(told: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingError, match=said) as raised:
        ends(**told)
    assert "\n" not in str(raised.value)


def test_the_longest_names_make_a_transactional_id_that_kafka_takes() -> None:
    options = Options(name="/" * 4_000, instance="i" * 4_000)
    longest = ends(group="/" * 4_000, options=options).parts(99_999)
    assert isinstance(longest.writer, KafkaWriter)
    # A member's id, which Kafka makes, has 37 bytes more than the instance.
    assert len(longest.writer.target.transactional_id.encode()) < 2**15 - 37


def test_what_fits_is_taken() -> None:
    assert ends(options=Options(commit_interval=5, availability_timeout=0.1)).sessions == {}


def test_ends_that_cannot_start_give_their_name_up() -> None:
    group = uuid4().hex  # Whose names no other run of the tests takes.
    wrong = Ends({"linger.ms": "soon"}, FIT, group)
    with pytest.raises(StopIteration):
        wrong.source.build("in", 0, 1).next_batch()
    assert isinstance(wrong.stop.error, SettingError)
    right = ends(group=group)
    assert "-0.0: " in right.parts(0).joining
    right.close(0)


def test_a_stop_that_cannot_hear_of_a_failure_is_refused() -> None:
    event: Any = Event()
    with pytest.raises(TypeError, match="not a Stop"):
        Ends({"bootstrap.servers": "127.0.0.1:1"}, FIT, "g", stop=event)
