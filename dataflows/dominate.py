"""Ratings in, shadows out: `python -m bytewax.run dataflows.dominate:flow`."""

from domination import log
from domination.errors import exit_on_error
from domination.flow import dominate
from domination.kafka import Ends, KafkaSink, KafkaSource
from domination.lifecycle import Lifecycle, refuse_open_door
from domination.settings import from_environment

with exit_on_error():
    refuse_open_door()
    settings = from_environment()
log.configure(settings)
lifecycle = Lifecycle()
lifecycle.stop_on_signals()
lifecycle.exit_with_code()
ends = Ends(settings, lifecycle)
flow = dominate(KafkaSource(ends), KafkaSink(ends))
