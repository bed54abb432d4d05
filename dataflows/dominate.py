"""Ratings in, shadows out: `python -m bytewax.run dataflows.dominate:flow`."""

from domination.flow import dominate
from domination.kafka import ends_from_environment

flow = dominate(*ends_from_environment())
