"""The dataflow's ends as the settings want them: the one place where both entries get them from."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Final

from domination import connection, log
from domination.errors import exit_on_error
from domination.exactly_once.batch import Fault
from domination.exactly_once.ends import Ends
from domination.exactly_once.options import Options, Topics
from domination.ratings import Reason
from domination.settings import NAME, from_environment
from domination.worker.health import Health
from domination.worker.lifecycle import Lifecycle, refuse_bytewax_api
from domination.worker.memory import watch
from domination.worker.metrics import Metrics

if TYPE_CHECKING:
    from domination.exactly_once.ports import Observer
    from domination.settings import Settings

_TOO_LARGE: Final = Fault(Reason.SHADOW_TOO_LARGE, "the shadow is larger than its topic takes")


def ends(settings: Settings, lifecycle: Lifecycle, make: type[Ends] = Ends) -> Ends:
    """Make the ends of this process; they listen and connect with the first worker that runs."""
    # A poll makes some ten thousand objects and frees them all by their counts: looking for cycles
    # among them at the default rate took a tenth of the time.
    gc.set_threshold(100_000, 50, 50)
    metrics = Metrics(settings)
    health: Health | None = None

    def observer(worker_index: int) -> Observer:
        nonlocal health
        # Not before: whoever only looks at the dataflow does not listen.
        if not made.sessions:
            watch(made.sessions, settings.input_topic)
        if settings.http and not health:
            health = Health(settings, lifecycle, metrics, made.sessions)
        return metrics.worker(worker_index)

    made = make(
        connection.of(settings).properties,
        Topics(settings.input_topic, (settings.output_topic,), settings.dead_letter_topic),
        settings.group,
        options=Options(
            NAME,
            settings.instance,
            settings.commit_interval_seconds,
            settings.availability_timeout_seconds,
            _TOO_LARGE,
        ),
        observer=observer,
        stop=lifecycle,
        log=log.logger,
    )
    return made


def ends_from_environment() -> Ends:
    """Make the ends of a dataflow that `python -m bytewax.run` runs in this process.

    The environment has the settings; SIGTERM and Ctrl-C drain it; it ends with the exit codes of a
    worker. Call it once, on the main thread. It connects to nothing.
    """
    with exit_on_error():
        refuse_bytewax_api()
        settings = from_environment()
    log.configure(settings)
    lifecycle = Lifecycle()
    lifecycle.stop_on_signals()
    lifecycle.exit_with_code()
    return ends(settings, lifecycle)
