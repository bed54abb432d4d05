"""A worker process of its own: what `domination worker` runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bytewax.run import cli_main

from domination import log
from domination.exactly_once.ends import Ends
from domination.flow import dominate
from domination.worker import wiring
from domination.worker.lifecycle import Lifecycle, refuse_bytewax_api

if TYPE_CHECKING:
    from collections.abc import Sequence

    from domination.errors import Exit
    from domination.settings import Settings


def run(
    settings: Settings,
    workers: int = 1,
    process_id: int | None = None,
    addresses: Sequence[str] | None = None,
    make: type[Ends] = Ends,
) -> Exit:
    """Run the workers of this process until a signal or a failure; give the exit code.

    Call it on the main thread. `process_id` and `addresses` are those of a Bytewax cluster; `make`
    makes the ends.
    """
    refuse_bytewax_api()
    log.configure(settings)
    lifecycle = Lifecycle()
    lifecycle.stop_on_signals()
    ends = wiring.ends(settings, lifecycle, make)
    cli_main(  # type: ignore[no-untyped-call]  # it is Rust's
        dominate(ends.source, ends.sink),
        workers_per_process=workers,
        process_id=process_id,
        addresses=addresses,
    )
    return lifecycle.exit_code
