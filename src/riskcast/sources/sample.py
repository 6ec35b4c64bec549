"""The bundled sample: real series out of the package ``arch``, the rest simulated.

Real: S&P 500 (GSPC) and Nasdaq Composite (IXIC) with OHLC from 1999, VIX closes from 2014, WTI
spot from 1986, core CPI and Moody's yields by month. Everything ends with the session of
2018-12-31. The package's path is looked up, not imported: importing it takes seconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path

import polars as pl

from riskcast.core.errors import SourceMissing
from riskcast.core.window import Window
from riskcast.sources import simulate
from riskcast.sources.base import known_in, last_session
from riskcast.sources.releases import RULES, release_datetime
from riskcast.sources.schedule import fomc_decisions, scheduled
from riskcast.tables.bronze import RAW_MACRO, RAW_MARKET, RELEASE_CALENDAR
from riskcast.tables.columns import PRICE_BASIS
from riskcast.transforms.sessions import known_at, session_known_at

LAST = date(2018, 12, 31)
SIMULATED = "simulated"
# Event and the rule that dates its figure in this sample.
CALENDAR = {
    "cpi": RULES["CPILFESL"],
    "nfp": RULES["UNRATE"],
    "ism_pmi": RULES["ISM_MAN_PMI"],
}
_EMPTY = pl.lit(None, pl.Float64)


class SampleSource:
    """The sample, complete without a network.

    Parameters
    ----------
    asset : str
        Symbol whose last session `newest` tells.
    last : date
        Session the sample ends with; an earlier one gives the same rows up to then.

    Raises
    ------
    NoSuchSession
        If `last` is no session.
    """

    name = "sample"
    look_back = timedelta(0)

    def __init__(self, asset: str = "GSPC", *, last: date = LAST) -> None:
        self.asset = asset
        self.last = last
        self.end = session_known_at(last)

    def fetch_market(self, window: Window) -> pl.DataFrame:
        """Return the bars that became known in the window."""
        return known_in(self._market, window)

    def fetch_macro(self, window: Window) -> pl.DataFrame:
        """Return the macro values released in the window."""
        return known_in(self._macro, window)

    def fetch_calendar(self, window: Window) -> pl.DataFrame:
        """Return the releases that became known in the window, by the sample's own rules."""
        return known_in(self._calendar, window)

    def newest(self) -> str:
        """Return the asset's last session, ISO date; raise SourceMissing if it has none."""
        return last_session(self._market, self.asset, "the sample")

    @cached_property
    def _market(self) -> pl.DataFrame:
        columns = [column.name for column in RAW_MARKET.columns]
        rows = pl.concat(_bars(self.last)).select(*columns, "source").sort("symbol", "date")
        return rows.with_columns(known_at(rows["date"])).select(*columns, "known_at", "source")

    @cached_property
    def _macro(self) -> pl.DataFrame:
        columns = [column.name for column in RAW_MACRO.columns]
        rows = pl.concat(_observations(self.last)).with_columns(
            pl.col("release_datetime").alias("known_at")
        )
        released = rows.filter(pl.col("known_at") <= self.end)
        return released.select(*columns, "known_at", "source").sort(RAW_MACRO.key)

    @cached_property
    def _calendar(self) -> pl.DataFrame:
        until = self.last.replace(day=1)
        months = pl.date_range(simulate.MACRO_FROM, until, "1mo", eager=True).to_list()
        rows = [fomc_decisions()] + [
            scheduled(event, [rule(month) for month in months], at, "sample.rule", of=months)
            for event, (rule, at) in CALENDAR.items()
        ]
        known = pl.concat(rows).filter(pl.col("known_at") <= self.end)
        return known.sort(RELEASE_CALENDAR.key)


def _bars(last: date) -> Iterator[pl.DataFrame]:
    """Yield the bars of one symbol after another, in the columns of `raw.market` and source."""
    index = _ohlc("GSPC", "sp500", last)
    yield index
    yield _ohlc("IXIC", "nasdaq", last)
    yield _closes("WTI", _arch("wti", last).rename({"DCOILWTICO": "close"}), "spot", "arch.wti")
    for symbol, exposure in simulate.EXPOSURES.items():
        closes = simulate.simulate_closes(symbol, index)
        yield _closes(symbol, closes, exposure.basis, SIMULATED)
    real = _arch("vix", last).rename({"vix": "close"}).drop_nulls("close")
    stand_in = simulate.simulate_vix(index).join(real, on="date", how="anti")
    yield _closes("VIX", real, "index", "arch.vix")
    yield _closes("VIX", stand_in, "index", SIMULATED)
    vix = pl.concat([stand_in, real]).sort("date")
    yield _closes("VIX3M", simulate.simulate_vix3m(vix), "index", SIMULATED)


def _observations(last: date) -> Iterator[pl.DataFrame]:
    """Yield the values of one macro series after another, in the columns of `raw.macro`."""
    real = {"CPILFESL": "core_cpi", "AAA": "default", "BAA": "default"}
    for series_id, dataset in real.items():
        values = _arch(dataset, last).select(
            pl.col("date").alias("macro_value_date"), pl.col(series_id).alias("value")
        )
        yield _released(series_id, values, "M", f"arch.{dataset}")
    index = _ohlc("GSPC", "sp500", last)
    for frequency, series in (
        ("D", simulate.simulate_rates(index)),
        ("M", simulate.simulate_surveys(index)),
    ):
        for series_id, values in series.items():
            yield _released(series_id, values, frequency, SIMULATED)


def _ohlc(symbol: str, dataset: str, last: date) -> pl.DataFrame:
    bars = _arch(dataset, last).rename(str.lower).rename({"adj close": "adj_close"})
    return bars.with_columns(
        pl.lit(symbol).alias("symbol"),
        pl.lit("index").alias(PRICE_BASIS.name),
        pl.lit(f"arch.{dataset}").alias("source"),
    ).select(*(column.name for column in RAW_MARKET.columns), "source")


def _closes(symbol: str, closes: pl.DataFrame, basis: str, source: str) -> pl.DataFrame:
    """Return bars that have nothing but a close."""
    return (
        closes.drop_nulls("close")
        .with_columns(
            *(_EMPTY.alias(name) for name in ("open", "high", "low", "volume")),
            pl.lit(symbol).alias("symbol"),
            pl.col("close").alias("adj_close"),
            pl.lit(basis).alias(PRICE_BASIS.name),
            pl.lit(source).alias("source"),
        )
        .select(*(column.name for column in RAW_MARKET.columns), "source")
    )


def _released(series_id: str, values: pl.DataFrame, frequency: str, source: str) -> pl.DataFrame:
    return values.with_columns(
        pl.lit(series_id).alias("series_id"),
        release_datetime(series_id, values["macro_value_date"]),
        pl.lit(frequency).alias("frequency"),
        pl.lit(source).alias("source"),
    ).select(*(column.name for column in RAW_MACRO.columns), "source")


def _arch(dataset: str, last: date) -> pl.DataFrame:
    """Return a data set of the package up to `last`: `date` and numbers."""
    spec = find_spec("arch")
    if spec is None or spec.origin is None:
        raise SourceMissing(
            "the sample lies inside the package arch, which is not installed; "
            "install riskcast[train] or set RISKCAST_SOURCE=files"
        )
    path = Path(spec.origin).parent / "data" / dataset / f"{dataset.replace('_', '-')}.csv.gz"
    if not path.is_file():
        raise SourceMissing(f"the package arch carries no data set {dataset!r} at {path}")
    table = pl.read_csv(path, infer_schema=False, null_values=".")  # FRED writes a dot
    numbers = pl.exclude("Date").cast(pl.Float64)
    days = pl.col("Date").str.to_date("%m/%d/%Y").alias("date")
    return table.select(days, numbers).filter(pl.col("date") <= last).sort("date")
