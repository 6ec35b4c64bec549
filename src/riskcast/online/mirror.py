"""Rows as items of a DynamoDB table. Reached as boto3 is told by the usual ``AWS_*`` names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import polars as pl

from riskcast.core.errors import StackError
from riskcast.tables import Table
from riskcast.tables.spec import INGESTED_AT

PARTITION, SORT = "symbol", "date_slot"
# What the table must look like; billing and backups are the operator's.
KEY_SCHEMA = (
    {"AttributeName": PARTITION, "KeyType": "HASH"},
    {"AttributeName": SORT, "KeyType": "RANGE"},
)
ATTRIBUTES = tuple({"AttributeName": k["AttributeName"], "AttributeType": "S"} for k in KEY_SCHEMA)


def put_rows(rows: pl.DataFrame, table: Table, name: str) -> int:
    """Put each row under (symbol, date#slot); return how many.

    The same rows give the same items, so putting them again changes nothing.

    Raises
    ------
    StackError
        If DynamoDB does not answer or has no table of that name and key.
    """
    items = [item(row, table) for row in rows.iter_rows(named=True)]
    if not items:
        return 0
    import boto3

    with _answers(name):
        target = boto3.resource("dynamodb").Table(name)
        with target.batch_writer(overwrite_by_pkeys=[PARTITION, SORT]) as batch:
            for each in items:
                batch.put_item(Item=each)
    return len(items)


def item(row: Mapping[str, Any], table: Table) -> dict[str, Any]:
    """Return a row as an item: instants and dates as ISO text, floats as exact decimals.

    Bookkeeping is left out, so that an item does not change when its row is written again.
    """
    values = {c.name: _value(row[c.name]) for c in table.every_column if c != INGESTED_AT}
    return {**values, SORT: f"{row['date'].isoformat()}#{row['slot']}"}


def _value(value: Any) -> Any:
    if isinstance(value, float):
        # repr gives the shortest digits that read back as the same float.
        return Decimal(repr(value))
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, list):
        return [_value(each) for each in value]
    return value


@contextmanager
def _answers(name: str) -> Iterator[None]:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        raise StackError(
            f"DynamoDB refused to write to {name!r} of RISKCAST_DYNAMODB_TABLE: {error}; the table "
            f"needs the partition key {PARTITION} and the sort key {SORT}, both text"
        ) from error
    except BotoCoreError as error:
        raise StackError(
            f"DynamoDB cannot be reached for {name!r} of RISKCAST_DYNAMODB_TABLE: {error}; see "
            "AWS_ENDPOINT_URL, AWS_DEFAULT_REGION and the credentials"
        ) from error
