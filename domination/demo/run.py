"""The whole system on a bare machine: it installs nothing, and leaves nothing behind.

A mock broker and an embedded ClickHouse run in this process, and HumanRatings. The worker is
a process of its own: the same program as with a real Kafka.
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

from domination import connection, log
from domination.clickhouse import schema
from domination.demo.counts import Tally
from domination.demo.embedded import EmbeddedClickHouse
from domination.demo.terminal import open_view
from domination.environment import PREFIX
from domination.errors import DominationError, Exit, needs_extra
from domination.kafka.cluster import DEFAULT_SIZE_LIMIT, Cluster
from domination.kafka.mock import mock_broker
from domination.monitor.probe import probing
from domination.monitor.rows import Tables
from domination.monitor.topics import TopicsProbe
from domination.produce import produce
from domination.settings import Settings, environment_name
from domination.worker.lifecycle import Lifecycle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from domination.clickhouse.queries import Database
    from domination.demo.terminal import View

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
    monitor: str = Settings.monitor
    """Where to serve the page, as in the settings."""


class _System(NamedTuple):
    """The parts that run."""

    settings: Settings
    worker: subprocess.Popen[bytes]
    tally: Tally
    page: str
    """The address of the monitor's page."""


def run(plan: Plan, say: Callable[[str], None]) -> Exit:
    """Rate humans until a signal, or until all of them are rows or dead letters.

    Say in a last line whether each human is exactly one row or one dead letter; give 0 if so.
    """
    lifecycle = Lifecycle()
    with _running(plan, lifecycle) as system:
        kafka = system.settings.bootstrap_servers
        with open_view(f"Domination, Kafka at {kafka}, a page at {system.page}") as view:
            sent = _rate_humans(plan, system, view, going=lambda: not lifecycle.stopping)
            _wait_for_rows(sent, system.tally, view)
        return _verdict(sent, system.tally, say)


@contextmanager
def _running(plan: Plan, lifecycle: Lifecycle) -> Iterator[_System]:
    """Run the broker, the worker, ClickHouse and the page."""
    with ExitStack() as stack:
        address = stack.enter_context(mock_broker(Settings().topics))
        scratch = stack.enter_context(_scratch())
        # One consumer is enough, and is in its group sooner than two.
        settings = Settings(
            bootstrap_servers=address,
            log_level="error",
            monitor=plan.monitor,
            clickhouse_consumers=1,
        )
        log.configure(settings)
        partitions = Cluster(connection.of(settings)).partitions(connection.needed(settings))
        worker = stack.enter_context(_worker(settings, scratch))
        lifecycle.stop_on_signals(lambda: _sweep(worker, scratch))
        clickhouse = EmbeddedClickHouse(plan.data or scratch / "clickhouse")
        stack.enter_context(closing(clickhouse))
        list(schema.apply(clickhouse, settings))
        tally = stack.enter_context(closing(Tally(settings, partitions, clickhouse)))
        page = stack.enter_context(_page(settings, clickhouse, tally))
        yield _System(settings, worker, tally, page)


@contextmanager
def _page(settings: Settings, clickhouse: Database, tally: Tally) -> Iterator[str]:
    """Serve the monitor's page at its address, or on a free port of its host if that is taken."""
    with needs_extra("the page"):
        from domination.monitor.server import listen, serving  # noqa: PLC0415 - takes a second
    host, port = settings.monitor_address
    try:
        listening = listen(host, port)
    except DominationError:
        listening = listen(host, 0)
    topics = TopicsProbe(settings, lags=lambda: tally.last and tally.last.lags())
    with (
        closing(topics),
        probing(topics.look, Tables(clickhouse).look) as read,
        serving(listening, read, host, settings.monitor_url) as address,
    ):
        yield address


def _rate_humans(plan: Plan, system: _System, view: View, going: Callable[[], bool]) -> int:
    """Send the humans while the view shows what becomes of them; give how many were sent."""
    sent = 0
    for batch in produce(
        system.settings, plan.humans, plan.rate, plan.seed, bad=plan.bad, going=going
    ):
        sent += batch
        if system.tally.due():
            view.show(system.tally.look(sent))
        if system.worker.poll() is not None:
            raise DominationError(Exit.BUG, f"the worker ended with {system.worker.returncode}")
    return sent


def _wait_for_rows(sent: int, tally: Tally, view: View) -> None:
    deadline = time.monotonic() + _LAST_SECONDS
    while time.monotonic() < deadline:
        snapshot = tally.look(sent)
        view.show(snapshot)
        if snapshot.settled:
            return
        time.sleep(_LOOK_SECONDS)


def _verdict(sent: int, tally: Tally, say: Callable[[str], None]) -> Exit:
    last = tally.look(sent)
    whole = last.rows + last.dead_letters == sent
    once = tally.each_once()
    why = "" if whole else tally.why_not_stored()
    say(
        f"{sent:,} humans {'=' if whole else 'are not'} {last.rows:,} rows"
        f" + {last.dead_letters:,} dead letters, "
        + ("each row once" if once else "but some humans have more than one row")
        + ("" if whole else f"; {last.missing()}")
        + (f"; ClickHouse: {why}" if why else "")
    )
    return Exit.OK if whole and once else Exit.BUG


@contextmanager
def _scratch() -> Iterator[Path]:
    try:
        made = tempfile.TemporaryDirectory(prefix="domination-", ignore_cleanup_errors=True)
    except OSError as error:
        raise DominationError(
            Exit.SETTING, f"no temporary directory to write to, set TMPDIR to one ({error})"
        ) from error
    with made as path:
        yield Path(path)


def _sweep(worker: subprocess.Popen[bytes], scratch: Path) -> None:
    worker.kill()
    worker.wait()
    shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def _worker(settings: Settings, scratch: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a worker in a session of its own, which the terminal's Ctrl-C does not reach."""
    worker = subprocess.Popen(
        [sys.executable, "-m", "domination", "worker", "-l", "error"],
        env=_environment(settings, scratch),
        start_new_session=True,
    )
    try:
        yield worker
    finally:
        worker.terminate()
        worker.wait()


def _environment(settings: Settings, scratch: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    return kept | {
        "TMPDIR": str(scratch),
        environment_name("bootstrap_servers"): settings.bootstrap_servers,
        # The only worker of its broker needs no slot of the host, which only Linux gives.
        environment_name("instance"): "demo",
        environment_name("availability_timeout_seconds"): str(_WORKER_PATIENCE_SECONDS),
        # The mock broker never answers a question for a topic's limits.
        environment_name("kafka.message.max.bytes"): str(DEFAULT_SIZE_LIMIT),
    }
