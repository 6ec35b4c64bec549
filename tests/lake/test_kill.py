"""Writers that are killed, race each other or run out of room, and readers that just end."""

import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable
from lake_writer import ALWAYS, APART, SHARED, TABLES, generation_rows
from polars.testing import assert_frame_equal

from riskcast.core.errors import WriteConflict
from riskcast.lake import DeltaLake
from riskcast.tables import Write

WRITER = Path(__file__).with_name("lake_writer.py")
ENVIRONMENT = {**os.environ, "POLARS_MAX_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}


def start(*arguments: object, **options: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(WRITER), *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
        **options,
    )


class Nursery:
    """Forks writers and kills them."""

    def __init__(self) -> None:
        self.process = start("nursery")

    def _say(self, line: str) -> None:
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def write(self, root: str, write: Write, generation: int, kill_after: float | None) -> float:
        """Run one writer; return how long it lived after its call, infinity if killed."""
        self._say(json.dumps({"root": root, "write": write, "generation": generation}))
        pid = int(self.process.stdout.readline())
        called = time.perf_counter()
        if kill_after is not None:
            time.sleep(kill_after)
            os.kill(pid, signal.SIGKILL)  # unreaped, so the number is still that writer's
        self._say("reap")
        fate = self.process.stdout.readline().strip()
        return float("inf") if fate == "died" else time.perf_counter() - called


@pytest.fixture
def nursery() -> Iterator[Nursery]:
    nursery = Nursery()
    yield nursery
    nursery.process.communicate(timeout=30)


def kill_writers(nursery: Nursery, root: str, trials: int, seed: int) -> tuple[int, int, int]:
    """Kill that many writers at random points.

    Return how many died before their commit, died after it, and ended before the blow.
    After each the table must equal what stood before or what was offered, whole.
    """
    moment, lake = random.Random(seed), DeltaLake(root)
    standing = {write: generation_rows(write, 0) for write in Write}
    usual = {}
    for write in Write:
        lake.write(TABLES[write], standing[write], ALWAYS)
    died_before = died_after = lived = 0
    for trial in range(1, trials + 1):
        write = list(Write)[trial % len(Write)]
        offered = generation_rows(write, trial)
        after = offered if write != Write.APPEND else pl.concat([standing[write], offered])
        if write not in usual:
            usual[write] = nursery.write(root, write, trial, None)
            fate = 0.0
        else:
            fate = nursery.write(root, write, trial, moment.uniform(0, 1.2 * usual[write]))
        found = lake.read(TABLES[write]).drop("ingested_at")
        committed = found["generation"].max() == trial
        assert_frame_equal(found, after if committed else standing[write])
        standing[write] = after if committed else standing[write]
        lived += fate < float("inf")
        died_before += fate == float("inf") and not committed
        died_after += fate == float("inf") and committed
    return died_before, died_after, lived


def test_a_killed_writer_leaves_the_old_rows_or_the_new_ones(nursery, tmp_path, record_property):
    counts = kill_writers(nursery, str(tmp_path / "lake"), trials=50, seed=1)
    record_property("died before the commit, after it, lived", counts)
    assert counts[0] >= 10, f"too few writers were killed in the middle: {counts}"


@pytest.mark.slow
def test_three_hundred_killed_writers_lose_and_double_nothing(nursery, tmp_path):
    counts = kill_writers(nursery, str(tmp_path / "lake"), trials=300, seed=2)
    assert counts[0] >= 60, f"too few writers were killed in the middle: {counts}"


def race(root: str, commits: int, meanwhile: Callable[[DeltaLake], None]) -> None:
    """Let four writers commit rows one by one; none may be lost or doubled."""
    writers = [start("race", root, who, commits) for who in range(4)]
    for writer in writers:
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        writer.stdin.write("go\n")
        writer.stdin.flush()
    lake = DeltaLake(root)
    while any(writer.poll() is None for writer in writers):
        meanwhile(lake)
        time.sleep(0.05)
    for writer in writers:
        _, errors = writer.communicate(timeout=120)
        assert writer.returncode == 0, errors
    starts = [*(who * APART for who in range(4)), SHARED]
    expected = [start + i for start in starts for i in range(commits)]
    for table in TABLES.values():
        assert lake.read(table)["id"].to_list() == expected, table.name
        writes = [c for c in lake.history(table) if c.operation != "OPTIMIZE"]
        assert len(writes) == 5 * commits, "a commit per row, none for rows there"


def test_four_writers_at_once_lose_and_double_no_row_not_even_while_the_table_is_made(tmp_path):
    race(str(tmp_path / "lake"), 10, lambda _lake: None)


@pytest.mark.slow
def test_four_writers_of_a_hundred_commits_lose_nothing_beside_compaction_and_vacuum(
    tmp_path, record_property
):
    done = {"merged": 0, "gave way": 0, "vacuumed": 0}

    def tidy(lake: DeltaLake) -> None:
        for table in TABLES.values():
            if lake.version(table) is None:
                continue
            try:
                done["merged"] += lake.compact(table) > 0
            except WriteConflict:
                done["gave way"] += 1
            # What an operator might do by hand, with that tool's own defaults.
            done["vacuumed"] += len(DeltaTable(f"{lake.root}/{table.path}").vacuum(dry_run=False))

    race(str(tmp_path / "lake"), 100, tidy)
    for what, count in done.items():
        record_property(what, count)
    assert done["merged"] > 0
    assert done["vacuumed"] == 0, "every version stays readable"


def test_compaction_keeps_rows_versions_and_readers(tmp_path):
    lake, table = DeltaLake(str(tmp_path)), TABLES[Write.APPEND]
    for generation in range(4):
        lake.write(table, generation_rows(Write.APPEND, generation), ALWAYS)
    before, open_files = lake.read(table), sorted(tmp_path.rglob("*.parquet"))
    assert lake.compact(table) == 4
    assert_frame_equal(lake.read(table), before)
    assert lake.read(table, version=1)["generation"].max() == 1
    assert all(file.exists() for file in open_files), "readers may still hold these"
    assert [commit.version for commit in lake.history(table)] == [4, 3, 2, 1, 0]


def test_many_small_commits_are_merged_on_the_way(tmp_path, monkeypatch):
    monkeypatch.setattr("riskcast.lake.delta.MANY_FILES", 5)
    lake, table = DeltaLake(str(tmp_path)), TABLES[Write.APPEND]
    for generation in range(12):
        lake.write(table, generation_rows(Write.APPEND, generation)[:2], ALWAYS)
    assert lake.read(table).height == 24
    assert sum(commit.operation == "OPTIMIZE" for commit in lake.history(table)) == 2
    assert lake.read(table, version=3).height == 8


def test_a_writer_without_room_says_so_and_the_old_version_still_reads(tmp_path):
    root = str(tmp_path / "lake")
    assert start("once", root, 1).wait(timeout=60) == 0
    before = DeltaLake(root).read(TABLES[Write.REPLACE])

    def small_files_only() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

    starved = start("once", root, 2, preexec_fn=small_files_only)
    _, errors = starved.communicate(timeout=60)
    assert starved.returncode == 1
    assert "LakeError: ticks_replace could not be written" in errors
    assert "the version before still reads" in errors
    assert_frame_equal(DeltaLake(root).read(TABLES[Write.REPLACE]), before)


READER = """
import sys
from riskcast.core.errors import WriteConflict
from riskcast.lake import DeltaLake
sys.path.insert(0, {folder!r})
from deltalake import DeltaTable
from lake_writer import ALWAYS, TABLES, generation_rows
from riskcast.tables import Write
from riskcast.tables.silver import MARKET_DAILY
lake = DeltaLake({root!r})
table = TABLES[Write.REPLACE]
lake.write(table, generation_rows(Write.REPLACE, 1), ALWAYS)
for _ in range(3):
    print(lake.read(table).height)
lake.read(table, version=0)
lake.publish(table, {root!r} + "/published")
"""


@pytest.mark.parametrize("trial", range(3))
def test_a_process_that_read_and_published_ends_with_exit_code_0(tmp_path, trial):
    code = READER.format(folder=str(WRITER.parent), root=str(tmp_path / "lake"))
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env=ENVIRONMENT
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""
