"""A run of the daily pipeline that is killed anywhere, and run again, ends where it would have."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import polars as pl
import pytest

from riskcast.core.settings import Settings
from riskcast.core.window import Window
from riskcast.lake import open_lake
from riskcast.lake.contract import identity
from riskcast.lake.publish import content_hash
from riskcast.pipelines import MARKET_DAILY
from riskcast.runner import Ports, run_pipeline
from riskcast.tables import TABLES

DAYS = ("2000-12-18", "2000-12-19", "2000-12-20")
BLOWS_A_DAY = 6  # after as many a day is let through


def copy(home: Path, to: Path) -> Path:
    shutil.copytree(home, to, symlinks=True)
    return to


def content(home: Path) -> dict[str, str]:
    lake = open_lake(Settings(home=str(home)))
    return {table.name: content_hash(lake.read(table), table) for table in TABLES.values()}


def published(home: Path) -> dict[str, bytes]:
    root = Path(Settings(home=str(home)).published_root)
    return {
        f"{link.name}/{path.relative_to(link)}": path.read_bytes()
        for link in sorted(root.iterdir())
        if link.is_symlink()
        for path in sorted(link.rglob("*.parquet"))
    }


def check_readable(home: Path) -> None:
    """Every table reads whole and without doubles, and so does every published set."""
    lake = open_lake(Settings(home=str(home)))
    for table in TABLES.values():
        rows = lake.read(table, all_vintages=True)
        assert not rows.select(identity(table)).is_duplicated().any(), table.name
    for link in Path(Settings(home=str(home)).published_root).iterdir():
        if link.is_symlink():
            pl.read_parquet(f"{link}/**/*.parquet", hive_partitioning=False)


def kill_runs(nursery, home: Path, trials: int, seed: int) -> tuple[int, int]:
    """Kill that many runs at random moments, each day until it came through.

    Return how many were killed and how many were quicker than the blow.
    """
    moment, usual = random.Random(seed), 3.0
    killed = lived = trial = 0
    day, blows = 0, 0
    while trial < trials:
        words = ("run", "market_daily", "--start", DAYS[day], "--end", DAYS[day])
        after = None if blows >= BLOWS_A_DAY else moment.uniform(0.0, usual)
        ended = nursery.run(home, *words, kill_after=after)
        check_readable(home)
        if ended.code == -9:
            killed, trial, blows = killed + 1, trial + 1, blows + 1
            continue
        assert ended.code == 0, ended.said
        if after is None:
            usual = ended.seconds
        lived, blows = lived + 1, 0
        day = (day + 1) % len(DAYS)  # from the start again: a day run twice is the same day
    for each in DAYS:
        ended = nursery.run(home, "run", "market_daily", "--start", each, "--end", each)
        assert ended.code == 0, ended.said
    return killed, lived


@pytest.fixture(scope="module")
def undisturbed(history, tmp_path_factory) -> Path:
    home = copy(history, tmp_path_factory.mktemp("undisturbed") / "home")
    ports = Ports(Settings(home=str(home)))
    for day in DAYS:
        run_pipeline(MARKET_DAILY, Window.parse(day, day), ports)
    return home


def assert_killed_runs_end_the_same(history, undisturbed, home, nursery, trials, seed) -> int:
    copy(history, home)
    killed, _ = kill_runs(nursery, home, trials, seed)
    assert content(home) == content(undisturbed)
    assert published(home) == published(undisturbed)
    return killed


def test_killed_runs_leave_every_table_readable_and_end_the_same(
    history, undisturbed, tmp_path, nursery, record_property
):
    killed = assert_killed_runs_end_the_same(
        history, undisturbed, tmp_path / "home", nursery, trials=5, seed=1
    )
    record_property("runs killed", killed)


@pytest.mark.slow
def test_three_hundred_killed_runs_leave_every_table_readable_and_end_the_same(
    history, undisturbed, tmp_path, nursery, record_property
):
    killed = assert_killed_runs_end_the_same(
        history, undisturbed, tmp_path / "home", nursery, trials=300, seed=2
    )
    record_property("runs killed", killed)
