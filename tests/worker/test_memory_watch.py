"""A worker that may be killed for memory says where it reads, and ends itself where it can."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

import pytest
from confluent_kafka import Producer
from hypothesis import given
from hypothesis import strategies as st

from domination.worker.memory import MemoryWatch
from domination.worker.memory_limit import Limit, Own, lowest
from harness.processes import HURT, ROOT
from harness.records import humans

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.pipeline import Pipeline

MIB: Final = 1024 * 1024
LIMIT: Final = 512
V2: Final = "sys/fs/cgroup"
V1: Final = "sys/fs/cgroup/memory"
MACHINE: Final = {"proc/meminfo": "MemTotal:  1000 kB\nMemAvailable:  400 kB\nHugePages_Total: 0\n"}


class Bound(Limit):
    """A limit of 512 MiB, of which others hold so much."""

    others: float | None = 0.0

    def held(self) -> int:
        if self.others is None:
            raise FileNotFoundError
        return int(self.others * MIB)


class Kept(logging.Handler):
    """Keeps what is logged."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__()
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(f"{record.levelname} {record.getMessage()}")


class Trial:
    """A watch, and what it has logged and done."""

    def __init__(self, others: float | None = 0.0) -> None:
        self.codes: list[int] = []
        self.lines: list[str] = []
        self.mib = 60.0
        bound = Bound(LIMIT * MIB, None, Path("/"))
        bound.others = others
        log = logging.getLogger("memory")
        log.handlers, log.propagate = [Kept(self.lines)], False
        sessions: dict[int, Any] = {
            0: SimpleNamespace(reading={3: 10}),
            1: SimpleNamespace(reading={1: 7}),
        }
        self._watch = MemoryWatch(bound, self._own, sessions, "dominate", self.codes.append, log)
        self._now = 0.0

    def look(self, mib: float, after: float = 0.0) -> float:
        self.mib = mib
        self._now += after
        return self._watch.look(self._now)

    def _own(self) -> Own:
        # All of it from files, so that the others' part is what `held` says.
        return Own(int(self.mib * MIB), int(self.mib * MIB))


def test_nearly_full_it_ends_with_71_and_a_line_that_says_where_it_reads() -> None:
    trial = Trial()
    trial.look(460)
    assert not trial.codes
    trial.look(461)
    assert trial.codes == [71]
    error = trial.lines[-1]
    assert error.startswith("ERROR memory: 461 of 512 MiB are held, 461 of them by this worker")
    assert "in dominate [1] at offset 7 or [3] at offset 10 or soon behind" in error
    (advised,) = re.findall(r"see '(.*?)' in (\S+)", error)
    assert f"**{advised[0]}**" in (ROOT / advised[1]).read_text()


def test_before_that_it_says_where_it_reads_since_it_may_be_killed_at_once() -> None:
    trial = Trial()
    trial.look(255)
    assert not trial.lines
    trial.look(257)
    (warning,) = trial.lines
    assert warning.startswith("WARNING memory: 257 of 512 MiB are held")
    assert "reading on in dominate [1] at offset 7 or [3] at offset 10; if this is the" in warning


def test_it_says_so_again_where_much_more_is_held_and_seldom() -> None:
    trial = Trial()
    for mib, after, lines in (
        (300, 0, 1),
        (340, 100, 1),  # Little more.
        (360, 0, 2),
        (420, 5, 2),  # Soon after.
        (420, 5, 3),
        (100, 0, 3),
        (300, 5, 3),
        (300, 5, 4),
    ):
        trial.look(mib, after)
        assert len(trial.lines) == lines


def test_what_others_hold_of_the_limit_counts() -> None:
    trial = Trial(others=300)
    trial.look(160)
    assert not trial.codes
    trial.look(161)
    assert trial.codes == [71]
    assert "461 of 512 MiB are held, 161 of them by this worker" in trial.lines[-1]


def test_a_worker_that_holds_little_does_not_end_for_what_others_hold() -> None:
    trial = Trial(others=500)
    assert trial.look(127) > 0
    assert not trial.codes
    assert not trial.lines


def test_where_a_cgroup_tells_nothing_more_what_it_holds_itself_counts() -> None:
    trial = Trial(others=None)
    trial.look(460)
    assert not trial.codes
    trial.look(461, after=10)
    assert trial.codes == [71]


@given(st.floats(0, 460), st.floats(0, 500))
def test_the_next_look_comes_before_memory_can_be_filled_so_far(mib: float, others: float) -> None:
    trial = Trial(others)
    seconds = trial.look(mib)
    assert 0.001 <= seconds <= 1
    filled = mib + seconds * 4e9 / MIB
    least = mib + 4e6 / MIB  # In the shortest wait.
    if not trial.lines:
        assert filled < max(256 - others, 128, least) + 1
    assert filled < max(461 - others, 128, least) + 1


@pytest.mark.parametrize(
    ("cgroup", "files", "size", "group"),
    [
        ("", {}, 1_024_000, None),
        ("0::/a/b", {f"{V2}/a/b/memory.max": "5000", f"{V2}/a/memory.max": "max"}, 5000, "a/b"),
        ("0::/a/b", {f"{V2}/a/b/memory.max": "5000", f"{V2}/a/memory.max": "4000"}, 4000, "a"),
        ("0::/a/b", {f"{V2}/a/b/memory.max": "2000000"}, 1_024_000, None),
        # A container that sees its own cgroup at the top, whatever its name.
        ("0::/../x", {f"{V2}/memory.max": "3000"}, 3000, ""),
        ("0::/kube/pod", {f"{V2}/memory.max": "3000"}, 3000, ""),
        ("4:cpu,memory:/a\n0::/", {f"{V1}/a/memory.limit_in_bytes": "6000"}, 6000, "a"),
        ("4:memory:/docker/x", {f"{V1}/memory.limit_in_bytes": "6000"}, 6000, ""),
        ("4:cpu:/a", {f"{V1}/a/memory.limit_in_bytes": "6000"}, 1_024_000, None),
    ],
)
def test_the_lowest_limit_of_all_cgroups_and_the_machine_counts(
    cgroup: str, files: Mapping[str, str], size: int, group: str | None, tmp_path: Path
) -> None:
    lay(tmp_path, {**MACHINE, **files, "proc/self/cgroup": cgroup})
    found = lowest(tmp_path)
    assert found
    assert found.size == size
    tops = [tmp_path / top / group for top in (V1, V2)] if group is not None else [None]
    assert found.group in tops


@pytest.mark.parametrize(
    ("top", "limit", "usage", "prefix"),
    [
        (V2, "memory.max", "memory.current", ""),
        (V1, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_"),
    ],
)
def test_what_the_kernel_can_take_back_is_not_held(
    top: str, limit: str, usage: str, prefix: str, tmp_path: Path
) -> None:
    lay(
        tmp_path,
        {
            f"{top}/{limit}": "5000",
            f"{top}/{usage}": "3000\n",
            f"{top}/memory.stat": f"{prefix}active_file 700\n{prefix}inactive_file 300\nother 9\n",
        },
    )
    assert Limit(5000, tmp_path / top, tmp_path).held() == 2000


def test_of_a_machine_is_held_what_is_not_available(tmp_path: Path) -> None:
    lay(tmp_path, MACHINE)
    assert Limit(1_024_000, None, tmp_path).held() == 600 * 1024


@pytest.mark.parametrize("cgroup", [None, "nonsense", "0::/a"])
def test_where_no_cgroup_can_be_asked_the_machine_is_the_limit(
    cgroup: str | None, tmp_path: Path
) -> None:
    unread = {f"{V2}/a/memory.max": "much"}
    lay(tmp_path, MACHINE | unread | ({"proc/self/cgroup": cgroup} if cgroup else {}))
    assert lowest(tmp_path) == Limit(1_024_000, None, tmp_path)


def test_where_there_is_no_linux_to_ask_there_is_no_limit(tmp_path: Path) -> None:
    assert lowest(tmp_path) is None


def lay(root: Path, files: Mapping[str, str]) -> None:
    """Write files."""
    for name, text in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def test_a_batch_that_fills_memory_ends_a_worker_with_its_place_and_nothing_is_lost(
    pipeline: Pipeline,
) -> None:
    pipeline.create(partitions=1)
    pipeline.send(humans(10))
    first = pipeline.worker(command=HURT, CHAOS_MEMORY_MIB="150")
    pipeline.drained()
    own = {"bootstrap.servers": pipeline.bootstrap_servers, "compression.type": "lz4"}
    large = {"message.max.bytes": 200_000_000, "batch.size": 200_000_000}
    producer = Producer({**own, **large, "queue.buffering.max.kbytes": 400_000})
    for _ in range(2):
        producer.produce(pipeline.input, b"x" * 100_000_000)
        assert producer.flush(150) == 0
    assert first.wait(150) == 71
    again = pipeline.worker(command=HURT, CHAOS_MEMORY_MIB="150")
    assert again.wait(150) == 71
    said = again.output.splitlines()
    assert any(line.endswith(f"reads {pipeline.input} from [0] at offset 10") for line in said)
    for worker in (first, again):
        (error,) = [
            line
            for line in worker.output.splitlines()
            if "domination: memory: " in line and "ERROR" in line
        ]
        assert f"in {pipeline.input} [0] at offset 10 or soon behind" in error
    assert pipeline.committed() == {0: 10}
    last = pipeline.worker()
    pipeline.drained()
    assert last.stop() == 0
    assert len(pipeline.read(pipeline.output).records) == 10
    assert len(pipeline.read(pipeline.dead).records) == 2
