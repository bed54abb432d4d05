"""The graph between two ends of Bytewax's own."""

from __future__ import annotations

from datetime import datetime, timezone

from bytewax.testing import TestingSink, TestingSource, run_main
from hypothesis import given
from hypothesis import strategies as st

import strategies
from domination.exactly_once.batch import Outcome, Records
from domination.flow import dominate
from domination.ratings import read
from domination.shadows import judge, write

NOW = datetime(2026, 11, 23, tzinfo=timezone.utc)


@given(st.lists(strategies.batches, max_size=4))
def test_no_batch_is_dropped_split_or_overtaken(batches: list[list[bytes | None]]) -> None:
    items = [Records(values, [None] * len(values), n) for n, values in enumerate(batches)]
    arrived: list[Outcome] = []
    run_main(  # type: ignore[no-untyped-call]  # it is Rust's
        dominate(TestingSource(items), TestingSink(arrived), lambda: NOW)
    )
    assert arrived == [write(judge(read(item)), NOW) for item in items]
