"""The graph: ratings in, shadows out. No broker, no environment; its ends are arguments."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING

import bytewax.operators as op
from bytewax.dataflow import Dataflow

from domination.exactly_once import operators as xop
from domination.ratings import read
from domination.shadows import judge, write

if TYPE_CHECKING:
    from collections.abc import Callable

    from bytewax.inputs import Source
    from bytewax.outputs import Sink

    from domination.exactly_once.batch import Batch, Records


def utc_now() -> datetime:
    """Tell the time that shadows are stamped with."""
    return datetime.now(timezone.utc)


def dominate(
    source: Source[Records],
    sink: Sink[Batch[bytes | None]],
    clock: Callable[[], datetime] = utc_now,
) -> Dataflow:
    """Make the dataflow between two ends. Its item is a batch: the records of one poll.

    Each step keeps the batch whole, with the rejects beside the good records, since the commit rule
    counts batches and every input record has to leave exactly one outcome.
    """
    flow = Dataflow("domination")
    records = op.input("records", flow, source)
    parsed = xop.map_all("read", records, read)
    ratings = xop.filter_faults("filter", parsed)
    shadows = xop.map_all("judge", ratings, judge)
    written = xop.map_batch("write", shadows, lambda batch: write(batch, clock()))
    op.output("shadows", written, sink)
    return flow
