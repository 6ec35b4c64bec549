"""A publisher that is killed while it writes to a bucket: what stood before still reads."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import boto3
import polars as pl
import pytest
from test_published_files import labels
from tests.moto_aws import moto_aws

from riskcast.core.s3 import s3_options
from riskcast.lake.publish import publish
from riskcast.tables.gold import LABELS_DAILY

HERE = str(Path(__file__).parent)
# Dies at the n-th write to the bucket: half of the object is on its way when the process ends.
KILLED = """
import os, sys
sys.path.insert(0, {here!r})
from test_bucket_kill import with_newest_year
from test_published_files import LABELS_DAILY, labels
from riskcast.lake import publish as module
puts = []
def die(bucket, path, content, put=module._put):
    puts.append(path)
    if len(puts) == {at}:
        stream = bucket.open_output_stream(path)
        stream.write(content[: len(content) // 2])
        stream.flush()
        os.kill(os.getpid(), 9)
    put(bucket, path, content)
module._put = die
module.publish({rows}, LABELS_DAILY, {root!r})
"""
# The newest year changes, as it does every day.
A_DAY_ON = "with_newest_year(labels(0.1), 0.9)"


def with_newest_year(rows: pl.DataFrame, value: float) -> pl.DataFrame:
    year = pl.col("date").dt.year()
    return rows.with_columns(rv_5d=pl.when(year == year.max()).then(value).otherwise("rv_5d"))


@pytest.fixture(scope="module")
def aws() -> Iterator[None]:
    with moto_aws():
        yield


@pytest.fixture
def root(aws, request) -> str:
    name = f"b{abs(hash(request.node.name))}"
    boto3.client("s3").create_bucket(Bucket=name)
    return f"s3://{name}/published"


def read(root: str) -> pl.DataFrame:
    return pl.read_parquet(
        f"{root}/labels_daily/**/*.parquet", hive_partitioning=False, storage_options=s3_options()
    )


def kill(root: str, at: int, rows: str) -> None:
    code = KILLED.format(here=HERE, at=at, rows=rows, root=root)
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=120)
    assert ended.returncode == -9, ended.stderr.decode()


@pytest.mark.parametrize("at", [1, 2, 3])
def test_a_day_published_by_a_killed_run_is_there_whole_or_not_at_all(root, at):
    """Three writes: the manifest without the file, the file, the manifest with it."""
    before = labels(0.1)
    after = with_newest_year(before, 0.9)
    publish(before, LABELS_DAILY, root)
    kill(root, at, A_DAY_ON)
    seen = read(root).sort("date")
    assert seen["rv_5d"].to_list() == (after if at == 3 else before)["rv_5d"].to_list()


@pytest.mark.parametrize("at", [1, 2, 3, 4])
def test_every_file_reads_whole_and_the_next_publish_ends_the_work(root, at):
    publish(labels(0.1), LABELS_DAILY, root)
    kill(root, at, "labels(0.9)")
    seen = read(root)
    assert seen.height == labels(0.1).height
    by_year = seen.group_by(pl.col("date").dt.year()).agg(pl.col("rv_5d").n_unique())
    assert by_year["rv_5d"].to_list() == [1] * by_year.height
    publish(labels(0.9), LABELS_DAILY, root)
    assert read(root)["rv_5d"].unique().to_list() == [0.9]


def test_a_first_publish_that_is_killed_leaves_nothing_half_written(root):
    kill(root, 3, "labels(0.9)")
    assert set(read(root)["rv_5d"]) == {0.9}
    publish(labels(0.9), LABELS_DAILY, root)
    assert read(root).height == labels(0.9).height
