"""The same pipelines on a bucket, by settings alone: the same content as in a folder."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import boto3
import polars as pl
import pytest
from tests.moto_aws import moto_aws

from riskcast.core.errors import StackError
from riskcast.core.settings import Settings
from riskcast.core.window import Window
from riskcast.jobs.mirror import mirror
from riskcast.lake import open_lake
from riskcast.lake.publish import content_hash
from riskcast.online.mirror import ATTRIBUTES, KEY_SCHEMA, item
from riskcast.online.store import FeastFeatures, newest_published
from riskcast.pipelines import FIRST_RUN, MARKET_DAILY
from riskcast.runner import Ports, run_pipeline
from riskcast.tables import TABLES
from riskcast.tables.gold import FEATURES_DAILY
from riskcast.tables.output import DEPLOYMENTS, PREDICTIONS_DAILY, ROLLOUTS

HISTORY = Window.parse("1960-01-01", "2006-12-29")
NEXT = Window.parse("2006-12-30", "2007-01-04")
MIRROR = "forecasts"


@pytest.fixture(scope="module")
def aws() -> Iterator[str]:
    """A server of S3 and DynamoDB, reached as anyone would be told to: by the environment."""
    with moto_aws() as address:
        boto3.client("s3").create_bucket(Bucket="riskcast")
        boto3.client("dynamodb").create_table(
            TableName=MIRROR,
            KeySchema=list(KEY_SCHEMA),
            AttributeDefinitions=list(ATTRIBUTES),
            BillingMode="PAY_PER_REQUEST",
        )
        yield address


def run_all(settings: Settings) -> Settings:
    ports = Ports(settings)
    for pipeline in FIRST_RUN:
        run_pipeline(pipeline, HISTORY, ports)
    run_pipeline(MARKET_DAILY, NEXT, ports)
    return settings


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Settings:
    return run_all(Settings(home=str(tmp_path_factory.mktemp("folder"))))


@pytest.fixture(scope="module")
def bucket(tmp_path_factory, aws) -> Settings:
    home = str(tmp_path_factory.mktemp("bucket"))
    lake = "s3://riskcast/some/prefix"
    return run_all(Settings(home=home, lake=lake, dynamodb_table=MIRROR))


def content(settings: Settings) -> dict[str, str]:
    lake, found = open_lake(settings), {}
    for table in TABLES.values():
        rows = lake.read(table)
        if table in (DEPLOYMENTS, ROLLOUTS):  # say by the wall clock who moved what when
            moved = [name for name in ("at", "asked_at", "known_at") if name in rows.columns]
            rows = rows.with_columns(pl.lit(HISTORY.end).alias(name) for name in moved)
            rows = rows.with_columns(pl.lit("").alias("writer")) if table is ROLLOUTS else rows
        found[table.name] = content_hash(rows, table)
    return found


def test_every_table_has_the_same_content_in_a_bucket_and_in_a_folder(folder, bucket):
    assert content(bucket) == content(folder)


def test_every_table_has_as_many_versions_in_a_bucket_and_in_a_folder(folder, bucket):
    one, other = open_lake(folder), open_lake(bucket)
    versions = {t.name: (one.version(t), other.version(t)) for t in TABLES.values()}
    assert {name: pair for name, pair in versions.items() if pair[0] != pair[1]} == {}


def test_published_files_are_the_same_byte_for_byte(folder, bucket):
    root = Path(folder.published_root)
    here = {
        f"{link.name}/{path.relative_to(link)}": path.read_bytes()
        for link in root.iterdir()
        if link.is_symlink()
        for path in link.rglob("*.parquet")
    }
    here |= {path.name: path.read_bytes() for path in root.glob("*.parquet")}
    client = boto3.client("s3")
    prefix = "some/prefix/published/"
    listed = client.get_paginator("list_objects_v2").paginate(Bucket="riskcast", Prefix=prefix)
    keys = [each["Key"] for page in listed for each in page["Contents"]]
    # Manifests, and the marker Arrow leaves where it deleted a folder's last file.
    names = [key for key in keys if ".manifests" not in key and not key.endswith("/")]
    there = {
        name.removeprefix(prefix): client.get_object(Bucket="riskcast", Key=name)["Body"].read()
        for name in names
    }
    assert sorted(there) == sorted(here)
    assert there == here


def test_running_again_on_a_bucket_makes_no_new_version(bucket):
    lake = open_lake(bucket)
    before = {t.name: lake.version(t) for t in TABLES.values()}
    run_pipeline(MARKET_DAILY, NEXT, Ports(bucket))
    assert {t.name: lake.version(t) for t in TABLES.values()} == before


def test_the_online_store_is_filled_from_the_bucket(bucket):
    last = open_lake(bucket).read(FEATURES_DAILY).sort("date").row(-1, named=True)
    served = FeastFeatures(bucket).latest("GSPC")
    assert served.session == last["date"]
    for name, value in served.values.items():
        assert value == last[name] or (value is None and last[name] is None), name


def test_a_row_of_the_past_is_found_in_the_bucket(bucket):
    rows = newest_published(bucket, FEATURES_DAILY, HISTORY.end)
    stored = open_lake(bucket).read(FEATURES_DAILY, as_of=HISTORY.end).sort("date")[-1]
    assert rows["tv5"].to_list() == stored["tv5"].to_list()


# The mirror


def scan() -> list[dict]:
    return boto3.resource("dynamodb").Table(MIRROR).scan()["Items"]


def test_every_forecast_of_the_runs_is_mirrored_with_the_same_numbers(bucket):
    rows = open_lake(bucket).read(PREDICTIONS_DAILY)
    found = {each["date_slot"]: each for each in scan()}
    assert sorted(found) == [f"{day}#champion" for day in rows["date"]]
    assert len(found) == 3
    for row in rows.iter_rows(named=True):
        mirrored = found[f"{row['date']}#champion"]
        assert float(mirrored["rv_5d_hat"]) == row["rv_5d_hat"]
        assert [float(x) for x in mirrored["driver_effects"]] == row["driver_effects"]
        assert mirrored["top_drivers"] == row["top_drivers"]
        assert mirrored["known_at"] == row["known_at"].isoformat()


def test_mirroring_again_changes_no_item(bucket):
    before = scan()
    lake = open_lake(bucket)
    for window in (NEXT, Window(HISTORY.start, NEXT.end)):
        mirror(lake=lake, settings=bucket, window=window)
    assert scan() == before


def test_nothing_is_mirrored_without_the_setting(folder, aws):
    before = scan()
    mirror(lake=open_lake(folder), settings=folder, window=NEXT)
    assert scan() == before


def test_a_table_that_is_not_there_is_named_with_the_keys_it_needs(bucket):
    wrong = Settings(home=bucket.home, lake=bucket.lake, dynamodb_table="elsewhere")
    with pytest.raises(StackError, match=r"'elsewhere'.*partition key symbol and the sort key"):
        mirror(lake=open_lake(bucket), settings=wrong, window=NEXT)


def test_a_dynamodb_that_does_not_answer_is_named(bucket, monkeypatch):
    lake = open_lake(bucket)
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(StackError, match=r"cannot be reached.*AWS_ENDPOINT_URL"):
        mirror(lake=lake, settings=bucket, window=NEXT)


@pytest.mark.parametrize("value", [1 / 3, 5e-324, 1e-7, 0.0, 2.9999999999999996])
def test_a_number_comes_back_as_the_same_float(value):
    row = dict.fromkeys((c.name for c in PREDICTIONS_DAILY.every_column), "x")
    row |= {"rv_5d_hat": value, "date": HISTORY.end.date()}
    assert math.ulp(0.0) > 0
    assert float(item(row, PREDICTIONS_DAILY)["rv_5d_hat"]) == value
