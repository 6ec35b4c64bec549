"""The ISM manufacturing PMI, which FRED may not carry: from DBnomics, or from a file.

DBnomics has the value known today and no vintages. A month counts as released at 10:00 New York
on the first session of the month after, the Institute's own schedule.
"""

from __future__ import annotations

from datetime import time
from pathlib import Path

import polars as pl

from riskcast.core.errors import SourceMalformed, SourceMissing
from riskcast.core.window import Window
from riskcast.sources.checks import settled
from riskcast.sources.fields import YEARS, day, items, mapping, member, number, shown
from riskcast.sources.http import Http, Patience
from riskcast.sources.reading import read_csv
from riskcast.sources.releases import first_session, new_york
from riskcast.tables import Column, Kind
from riskcast.tables.bronze import RAW_MACRO

URL = "https://api.db.nomics.world/v22"
SERIES_ID = "ISM_MAN_PMI"
PATH = "series/ISM/pmi/pm"
INTERVAL = 1.0
AT = time(10, 0)
MONTH = Column("month", Kind.DATE, "First day of the month the survey is about.")
VALUE = Column("value", Kind.FLOAT, "Index points.", 0.0, 100.0)


class Pmi:
    """The survey from a DBnomics-style server, or a CSV file with columns month and value.

    Parameters
    ----------
    place : str
        Address or path; DBnomics when empty.
    """

    def __init__(self, place: str, patience: Patience) -> None:
        self._file = Path(place) if place and "://" not in place else None
        self._http = Http("DBnomics", place or URL, interval=INTERVAL, patience=patience)

    def fetch(self, window: Window) -> pl.DataFrame:
        """Return rows of `raw.macro` released in the window, with known_at and source."""
        months, source = self._months()
        released = new_york(
            pl.Series([first_session(month) for month in months["month"]], dtype=pl.Date), AT
        )
        rows = months.select(
            pl.lit(SERIES_ID).alias("series_id"),
            pl.col("month").alias("macro_value_date"),
            released.alias("release_datetime"),
            "value",
            pl.lit("M").alias("frequency"),
            released.alias("known_at"),
            pl.lit(source).alias("source"),
        )
        return settled(f"PMI of {source}", rows, RAW_MACRO, window)

    def _months(self) -> tuple[pl.DataFrame, str]:
        if self._file is None:
            answer = self._http.get(PATH, {"observations": "1"})
            return read_series(answer.json(), answer.who), "dbnomics"
        if not self._file.is_file():
            raise SourceMissing(f"RISKCAST_PMI_URL={self._file} is neither an address nor a file")
        read = read_csv(self._file, (MONTH, VALUE), ())
        return _checked(read.rows, str(self._file)), "file"


def read_series(payload: object, where: str) -> pl.DataFrame:
    """Return (month, value) of a DBnomics answer, months without a value left out.

    Raises
    ------
    SourceMissing
        If the answer holds no series or no value.
    SourceMalformed
        If its schema is another.
    """
    series = mapping(member(mapping(payload, where), "series", where), where)
    docs = items(member(series, "docs", where), where)
    if not docs:
        raise SourceMissing(f"{where} has no series {PATH}")
    doc = mapping(docs[0], where)
    days = items(member(doc, "period_start_day", where), where)
    values = items(member(doc, "value", where), where)
    if len(days) != len(values):
        raise SourceMalformed(f"{where}: {len(days)} periods and {len(values)} values")
    rows = [
        (day(at, where), number(value, f"{where} {shown(at)}"))
        for at, value in zip(days, values, strict=True)
        if value is not None and value != "NA"
    ]
    schema = {"month": pl.Date, "value": pl.Float64}
    return _checked(pl.DataFrame(rows, schema=schema, orient="row"), where)


def _checked(months: pl.DataFrame, where: str) -> pl.DataFrame:
    if months.is_empty():
        raise SourceMissing(f"{where} has no value of the PMI")
    if months.null_count().sum_horizontal()[0]:
        raise SourceMalformed(f"{where}: a month or a value is empty")
    wrong = months.filter(
        (pl.col("month").dt.day() != 1)
        | ~pl.col("value").is_between(VALUE.low or 0.0, VALUE.high or 100.0)
        | pl.col("month").is_duplicated()
        # Elsewhere the calendar of sessions cannot say when a month was released.
        | ~pl.col("month").dt.year().is_in(list(YEARS))
    )
    if wrong.height:
        first = wrong.row(0)
        raise SourceMalformed(
            f"{where}: {first[0]} with value {first[1]} is no month's first day with 0 to 100 "
            "points, or occurs twice"
        )
    return months
