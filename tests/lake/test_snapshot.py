"""A table's files up to a version are the table as it was, whatever is written meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import boto3
import polars as pl
import pytest
from test_published_files import labels
from tests.moto_aws import moto_aws

from riskcast.core.errors import LakeError, TableMissing
from riskcast.core.window import Window
from riskcast.lake import DeltaLake, snapshot
from riskcast.tables.gold import LABELS_DAILY

EVER = Window(datetime(1990, 1, 1, tzinfo=UTC), datetime(2050, 1, 1, tzinfo=UTC))


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    with moto_aws():
        boto3.client("s3").create_bucket(Bucket="riskcast")
        yield "s3://riskcast"


@pytest.fixture(params=["folder", "bucket"])
def roots(request, tmp_path):
    if request.param == "folder":
        return str(tmp_path / "old lake"), str(tmp_path / "new")
    bucket = request.getfixturevalue("bucket")
    return f"{bucket}/{tmp_path.name}/old", f"{bucket}/{tmp_path.name}/new"


def written(root: str, versions: int) -> DeltaLake:
    lake = DeltaLake(root)
    for n in range(versions):
        lake.write(LABELS_DAILY, labels(0.01 * (n + 1)), EVER)
    return lake


def copy(root: str, to: str, paths: list[str]) -> DeltaLake:
    source, target = snapshot.root_of(root), snapshot.root_of(to)
    for path in paths:
        if "://" not in to:
            target.create_dir(path.rpartition("/")[0], recursive=True)
        with source.open_input_stream(path) as old, target.open_output_stream(path) as new:
            new.write(old.read())
    return DeltaLake(to)


def test_a_copy_has_that_version_and_every_one_before(roots):
    old, new = roots
    lake = written(old, 3)
    before = [snapshot.content(lake, LABELS_DAILY, n) for n in range(3)]
    written(old, 5)
    lake.compact(LABELS_DAILY)
    paths = snapshot.files(snapshot.root_of(old), LABELS_DAILY, 2)
    copied = copy(old, new, paths)
    assert copied.version(LABELS_DAILY) == 2
    assert [snapshot.content(copied, LABELS_DAILY, n) for n in range(3)] == before
    # What it guards against: every file that lies there is another, later version.
    everything = snapshot.files(snapshot.root_of(old), LABELS_DAILY, lake.version(LABELS_DAILY))
    assert copy(old, f"{new}-all", everything).version(LABELS_DAILY) > 2


def test_a_copy_past_a_checkpoint_opens_and_goes_on(tmp_path):
    lake = written(str(tmp_path / "old"), 12)
    from deltalake import DeltaTable

    DeltaTable(f"{tmp_path}/old/{LABELS_DAILY.path}").create_checkpoint()
    written(str(tmp_path / "old"), 3)
    paths = snapshot.files(snapshot.root_of(lake.root), LABELS_DAILY, 12)
    copied = copy(str(tmp_path / "old"), str(tmp_path / "new"), paths)
    assert copied.version(LABELS_DAILY) == 12
    assert copied.write(LABELS_DAILY, labels(0.5), EVER) == 13


def test_only_written_tables_are_pinned_and_others_have_no_files(tmp_path):
    lake = written(str(tmp_path), 2)
    assert snapshot.pin(lake) == {LABELS_DAILY.name: 1}
    with pytest.raises(TableMissing):
        snapshot.files(snapshot.root_of(str(tmp_path / "none")), LABELS_DAILY, 0)


def test_a_log_with_a_gap_is_named_and_not_copied(tmp_path):
    written(str(tmp_path), 3)
    (tmp_path / LABELS_DAILY.path / "_delta_log" / f"{1:020}.json").unlink()
    with pytest.raises(LakeError, match="lacks entries"):
        snapshot.files(snapshot.root_of(str(tmp_path)), LABELS_DAILY, 2)


def test_content_tells_one_changed_value(tmp_path):
    lake = written(str(tmp_path), 1)
    changed = labels(0.01).with_columns(
        rv_5d=pl.when(pl.int_range(pl.len()) == 0).then(0.9).otherwise("rv_5d")
    )
    lake.write(LABELS_DAILY, changed, EVER)
    one, other = (snapshot.content(lake, LABELS_DAILY, n) for n in (0, 1))
    assert one.rows == other.rows
    assert one.sha256 != other.sha256
