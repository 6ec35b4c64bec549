"""Plain Parquet in a folder: whole sets, the same bytes for the same rows."""

import subprocess
import sys
import threading
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from riskcast.core.errors import LakeError
from riskcast.lake.publish import partitions, publish, publish_daily
from riskcast.tables.gold import LABELS_DAILY

YEARS = 4


def labels(generation: float = 0.1, years: int = YEARS) -> pl.DataFrame:
    sessions = [date(2015 + i // 10, 1 + i % 10, 5) for i in range(10 * years)]
    known = [datetime(s.year, s.month, 12, 21, tzinfo=UTC) for s in sessions]
    return pl.DataFrame(
        {
            "symbol": ["SPY"] * len(sessions),
            "date": sessions,
            "rv_5d": [generation] * len(sessions),
            "regime_5d": ["calm"] * len(sessions),
            "known_at": known,
            "ingested_at": known,
            "source": ["test"] * len(sessions),
        },
        schema_overrides={
            "known_at": pl.Datetime("us", "UTC"),
            "ingested_at": pl.Datetime("us", "UTC"),
        },
    )


def files(folder: str) -> dict[str, Path]:
    return {str(path.relative_to(folder)): path for path in Path(folder).rglob("*.parquet")}


def read(folder: str | Path) -> pl.DataFrame:
    return pl.read_parquet(f"{folder}/**/*.parquet", hive_partitioning=False)


def test_the_year_is_found_in_the_path_alone(tmp_path):
    folder = publish(labels(), LABELS_DAILY, str(tmp_path))
    assert "year" not in pl.read_parquet_schema(files(folder)["year=2016/part-0.parquet"])
    by_year = pl.read_parquet(f"{folder}/**/*.parquet", hive_partitioning=True)
    assert by_year.filter(pl.col("year") != pl.col("date").dt.year()).is_empty()
    assert_frame_equal(read(folder), labels().drop("ingested_at"))


@given(cuts=st.lists(st.integers(0, 10 * YEARS), max_size=4), later=st.integers(1, 10_000))
def test_the_same_rows_give_the_same_bytes(cuts: list[int], later: int) -> None:
    edges = [0, *sorted(cuts), 10 * YEARS]
    chunks = [labels()[a:b] for a, b in pairwise(edges)]
    again = pl.concat(chunks, rechunk=False).with_columns(
        pl.col("ingested_at") + timedelta(seconds=later)
    )
    assert partitions(again, LABELS_DAILY) == partitions(labels(), LABELS_DAILY)


def test_files_that_do_not_change_are_left_alone(tmp_path):
    folder = publish(labels(), LABELS_DAILY, str(tmp_path))
    before = {
        name: (path.stat().st_ino, path.stat().st_mtime_ns) for name, path in files(folder).items()
    }
    changed = labels().with_columns(
        rv_5d=pl.when(pl.col("date").dt.year() == 2018).then(0.5).otherwise("rv_5d")
    )
    publish(changed, LABELS_DAILY, str(tmp_path))
    after = {
        name: (path.stat().st_ino, path.stat().st_mtime_ns) for name, path in files(folder).items()
    }
    assert {name for name in before if before[name] != after[name]} == {"year=2018/part-0.parquet"}


def test_publishing_the_same_again_moves_nothing(tmp_path):
    folder = publish(labels(), LABELS_DAILY, str(tmp_path))
    link = Path(folder).lstat()
    publish(labels(), LABELS_DAILY, str(tmp_path))
    assert Path(folder).lstat() == link


def test_a_year_without_rows_any_more_is_gone(tmp_path):
    publish(labels(years=3), LABELS_DAILY, str(tmp_path))
    folder = publish(labels(years=2), LABELS_DAILY, str(tmp_path))
    assert_frame_equal(read(folder), labels(years=2).drop("ingested_at"))


def test_a_reader_that_resolved_the_link_keeps_its_whole_version_over_a_switch(tmp_path):
    folder = publish(labels(0.1), LABELS_DAILY, str(tmp_path))
    held = Path(folder).resolve()
    publish(labels(0.2), LABELS_DAILY, str(tmp_path))
    assert read(held)["rv_5d"].unique().to_list() == [0.1]
    assert read(folder)["rv_5d"].unique().to_list() == [0.2]


def test_only_the_version_before_is_kept(tmp_path):
    for generation in range(1, 6):
        publish(labels(generation / 10), LABELS_DAILY, str(tmp_path))
    versions = [
        path for path in (tmp_path / ".versions" / "labels_daily").iterdir() if path.is_dir()
    ]
    assert len(versions) == 2


def test_readers_beside_many_publishers_always_see_whole_sets(tmp_path):
    publish(labels(0.1), LABELS_DAILY, str(tmp_path))
    folder, failures = tmp_path / "labels_daily", []

    def publish_often(first: int) -> None:
        for generation in range(first, first + 15):
            publish(labels(generation / 100), LABELS_DAILY, str(tmp_path))

    publishers = [threading.Thread(target=publish_often, args=(n,)) for n in (20, 50)]
    for thread in publishers:
        thread.start()
    reads = 0
    while any(thread.is_alive() for thread in publishers):
        held = folder.resolve()
        try:
            seen = read(held)
        except (FileNotFoundError, pl.exceptions.ComputeError):
            # Two switches during one read: the version is gone as a whole, which says so.
            assert held != folder.resolve()
            continue
        reads += 1
        if seen.height != 10 * YEARS or seen["rv_5d"].n_unique() != 1:
            failures.append(seen)
    assert reads and not failures
    assert read(folder).height == 10 * YEARS


KILLED = """
import sys
sys.path.insert(0, {here!r})
from test_published_files import LABELS_DAILY, labels
from riskcast.lake import publish as module
written = []
def die(path, content, write=module._write):
    written.append(path)
    if len(written) == 3:
        path.write_bytes(content[:40])
        import os; os.kill(os.getpid(), 9)
    write(path, content)
module._write = die
module.publish(labels(0.9), LABELS_DAILY, {root!r})
"""


def test_a_publisher_killed_half_way_changes_nothing_and_leaves_nothing(tmp_path):
    folder = publish(labels(0.1), LABELS_DAILY, str(tmp_path))
    code = KILLED.format(here=str(Path(__file__).parent), root=str(tmp_path))
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60)
    assert ended.returncode == -9, ended.stderr
    assert read(folder)["rv_5d"].unique().to_list() == [0.1]
    publish(labels(0.9), LABELS_DAILY, str(tmp_path))
    assert read(folder)["rv_5d"].unique().to_list() == [0.9]
    assert not list(tmp_path.rglob(".building-*"))


def test_what_stands_in_the_tables_place_is_not_thrown_away(tmp_path):
    (tmp_path / "labels_daily").mkdir()
    with pytest.raises(LakeError, match="move it away"):
        publish(labels(), LABELS_DAILY, str(tmp_path))


def test_a_day_is_published_as_one_file_that_is_replaced_whole(tmp_path):
    day = date(2016, 3, 5)
    for generation in (0.1, 0.2):
        path = publish_daily(labels(generation), LABELS_DAILY, str(tmp_path), day)
    assert path == f"{tmp_path}/labels_daily_20160305.parquet"
    rows = pl.read_parquet(path)
    assert rows["date"].to_list() == [day]
    assert rows["rv_5d"].to_list() == [0.2]
    assert [file.name for file in tmp_path.iterdir()] == ["labels_daily_20160305.parquet"]


def test_a_day_without_rows_is_refused(tmp_path):
    with pytest.raises(LakeError, match="no rows of 2016-03-06"):
        publish_daily(labels(), LABELS_DAILY, str(tmp_path), date(2016, 3, 6))
