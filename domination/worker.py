"""A worker process of its own: what `domination worker` runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bytewax.run import cli_main

from domination import log
from domination.flow import dominate
from domination.kafka import Ends, KafkaSink, KafkaSource
from domination.lifecycle import Lifecycle, refuse_open_door

if TYPE_CHECKING:
    from collections.abc import Sequence

    from domination.errors import Exit
    from domination.settings import Settings


def run(
    settings: Settings,
    workers: int = 1,
    process_id: int | None = None,
    addresses: Sequence[str] | None = None,
) -> Exit:
    """Run the workers of this process until a signal or a failure; give the exit code.

    Call it on the main thread. `process_id` and `addresses` are those of a Bytewax cluster.
    """
    refuse_open_door()
    log.configure(settings)
    lifecycle = Lifecycle()
    lifecycle.stop_on_signals()
    ends = Ends(settings, lifecycle)
    cli_main(  # type: ignore[no-untyped-call]  # it is Rust's
        dominate(KafkaSource(ends), KafkaSink(ends)),
        workers_per_process=workers,
        process_id=process_id,
        addresses=addresses,
    )
    return lifecycle.exit_code
