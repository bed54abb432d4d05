"""The graph between two ends of Bytewax's own."""

from __future__ import annotations

from datetime import datetime, timezone

from bytewax.testing import TestingSink, TestingSource, run_main
from hypothesis import given
from hypothesis import strategies as st

from domination.exactly_once.batch import Batch, Fault, Outcome, Records, Reject
from domination.flow import dominate
from domination.ratings import parse
from domination.shadow import judge
from domination.shadows import encode_one
from harness import strategies

NOW = datetime(2026, 11, 23, tzinfo=timezone.utc)


def run(batches: list[list[bytes | None]]) -> tuple[list[Records], list[Outcome]]:
    """Let polls through the graph; give them, and what arrives at the sink."""
    polls = [Records("dominate", values) for values in batches]
    arrived: list[Batch[bytes | None]] = []
    run_main(  # type: ignore[no-untyped-call]  # it is Rust's
        dominate(TestingSource(polls), TestingSink(arrived), lambda: NOW)
    )
    return polls, [each for each in arrived if isinstance(each, Outcome)]


@given(st.lists(strategies.batches, max_size=4))
def test_no_batch_is_dropped_split_or_overtaken(batches: list[list[bytes | None]]) -> None:
    polls, arrived = run(batches)
    assert [each.records for each in arrived] == polls


@given(st.lists(strategies.batches, max_size=2))
def test_each_record_leaves_a_shadow_or_a_reject_at_its_place(
    batches: list[list[bytes | None]],
) -> None:
    for poll, outcome in zip(*run(batches), strict=True):
        read = [parse(value) for value in poll.values]
        assert list(outcome.rejects) == [
            Reject(place, each) for place, each in enumerate(read) if isinstance(each, Fault)
        ]
        humans = [(n, each) for n, each in enumerate(read) if not isinstance(each, Fault)]
        assert list(outcome.values) == [
            encode_one((judge(human.rating), human.unique_id), NOW) for _, human in humans
        ]
        assert list(outcome.kept(range(len(poll)))) == [place for place, _ in humans]
        outcome.check()
