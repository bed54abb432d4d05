"""Ratings in, shadows out: `python -m bytewax.run dataflows.dominate:flow`."""

from domination.flow import dominate
from domination.worker.wiring import ends_from_environment

ends = ends_from_environment()
flow = dominate(ends.source, ends.sink)
