"""The whole system on a bare machine: nothing is installed, nothing stays.

A mock broker and a ClickHouse in this process (`embedded.py`), HumanRatings, and a worker as its
own process, which is the same that runs on a real Kafka.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from domination import log, schema
from domination.board import board
from domination.broker import DEFAULT_SIZE_LIMIT, Admin, needed
from domination.embedded import EmbeddedClickHouse, mock_broker
from domination.errors import DominationError, Exit, of_the_extra
from domination.humans import produce
from domination.lifecycle import Lifecycle
from domination.rows import Tables
from domination.settings import PREFIX, Settings, environment_name
from domination.sources import watching
from domination.topics import Cluster
from domination.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from domination.board import Board
    from domination.schema import Database

_LOOK_SECONDS: Final = 0.1
_LAST_SECONDS: Final = 60.0
_WORKER_PATIENCE_SECONDS: Final = 10.0


class Plan(NamedTuple):
    """What to show."""

    humans: int | None
    """How many to rate; None: without end."""
    rate: float
    """Ratings a second."""
    bad: float
    """Share of broken ratings, 0 to 1."""
    seed: int | None
    data: Path | None
    """Where to keep the rows; None: nowhere."""


def run(plan: Plan, say: Callable[[str], None]) -> Exit:
    """Rate humans until a signal, or until all of them are rows or dead letters.

    Gives 0 if each human is exactly one row or one dead letter in the end; says so in a last line.
    """
    lifecycle = Lifecycle()
    with ExitStack() as stack:
        address = stack.enter_context(mock_broker())
        scratch = stack.enter_context(_scratch())
        settings = Settings(bootstrap_servers=address, log_level="error")
        log.configure(settings)
        partitions = Admin(settings).partitions(needed(settings))  # Asking makes them, here.
        worker = stack.enter_context(_worker(settings, scratch))
        lifecycle.stop_on_signals(lambda: _sweep(worker, scratch))
        clickhouse = EmbeddedClickHouse(plan.data or scratch / "clickhouse")
        stack.enter_context(closing(clickhouse))
        for _ in schema.apply(clickhouse, settings):
            pass
        watch = stack.enter_context(closing(Watch(settings, partitions, clickhouse)))
        page = stack.enter_context(_page(settings, clickhouse))
        with board(f"Domination, Kafka at {address}, a page at {page}") as view:
            sent = 0
            for batch in produce(
                settings,
                plan.humans,
                plan.rate,
                plan.seed,
                bad=plan.bad,
                going=lambda: not lifecycle.stopping,
            ):
                sent += batch
                if watch.due():
                    view.show(watch.look(sent))
                if worker.poll() is not None:
                    raise DominationError(Exit.BUG, f"the worker ended with {worker.returncode}")
            _finish(sent, watch, view)
        return _verdict(sent, watch, say)


@contextmanager
def _page(settings: Settings, clickhouse: Database) -> Iterator[str]:
    """Serve the monitor's page of these two: at its usual address, or else on a free port."""
    with of_the_extra("the page"):
        from domination.web import listen, serving  # noqa: PLC0415 - takes a second
    host, port = settings.monitor_address
    try:
        listening = listen(host, port)
    except DominationError:
        listening = listen(host, 0)
    cluster = Cluster(settings, offsets=False)
    with (
        closing(cluster),
        watching(cluster.look, Tables(clickhouse).look) as see,
        serving(listening, see) as address,
    ):
        yield address


def _finish(sent: int, watch: Watch, view: Board) -> None:
    """Wait for the last rows."""
    deadline = time.monotonic() + _LAST_SECONDS
    while time.monotonic() < deadline:
        snapshot = watch.look(sent)
        view.show(snapshot)
        if snapshot.rows + snapshot.dead_letters >= sent:
            return
        time.sleep(_LOOK_SECONDS)


def _verdict(sent: int, watch: Watch, say: Callable[[str], None]) -> Exit:
    last = watch.look(sent)
    whole = last.rows + last.dead_letters == sent
    once = watch.each_once()
    say(
        f"{sent:,} humans {'=' if whole else 'are not'} {last.rows:,} rows"
        f" + {last.dead_letters:,} dead letters, "
        + ("each row once" if once else "and some rows are of one human")
    )
    return Exit.OK if whole and once else Exit.BUG


@contextmanager
def _scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="domination-", ignore_cleanup_errors=True) as path:
        yield Path(path)


def _sweep(worker: subprocess.Popen[bytes], scratch: Path) -> None:
    worker.kill()
    worker.wait()
    shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def _worker(settings: Settings, scratch: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a worker as its own process, out of reach of the terminal's Ctrl-C."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    environment |= {
        "TMPDIR": str(scratch),
        environment_name("bootstrap_servers"): settings.bootstrap_servers,
        environment_name("availability_timeout_seconds"): str(_WORKER_PATIENCE_SECONDS),
        # The mock broker never answers what its topics' limits are.
        environment_name("kafka.message.max.bytes"): str(DEFAULT_SIZE_LIMIT),
    }
    worker = subprocess.Popen(
        [sys.executable, "-m", "domination", "worker", "-l", "error"],
        env=environment,
        start_new_session=True,
    )
    try:
        yield worker
    finally:
        worker.terminate()
        worker.wait()
