"""Macro releases to `curated.macro_release_aligned`: what could be used at each session.

Every input row is a *vintage*: a value of a reference period as one release gave it. A vintage
counts from a first session on, and a session sees for each period the newest vintage that counts
by then. Nothing a later release says reaches an earlier row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, timedelta

import numpy as np
import polars as pl

CPI = ("CPIAUCSL", "CPILFESL", "CPIAUCNS")  # the first that has said anything by then
FUNDS_RATE = ("DFF", "FEDFUNDS")
NEW_YORK = "America/New_York"
MAX_AGE = {"D": timedelta(days=10), "M": timedelta(days=75)}  # since the period's end
WINDOW, LEAST = 120, 60  # months of a z-score: at most, at least

Values = Mapping[int, float]  # month number (12 year + month - 1) to value

# State of one series: from `session` to `until`, both included, its value is `value`.
STATE = pl.Schema(
    {
        "session": pl.Date(),
        "until": pl.Date(),
        "value": pl.Float64(),
        "z": pl.Float64(),
        "released": pl.Datetime("us", "UTC"),
        "simulated": pl.Boolean(),
    }
)


def align_macro(raw_macro: pl.DataFrame, sessions: pl.DataFrame) -> pl.DataFrame:
    """Return one row of `curated.macro_release_aligned` per session, ascending.

    Parameters
    ----------
    raw_macro : DataFrame
        Rows of `raw.macro`, all vintages.
    sessions : DataFrame
        Rows of `sessions`.

    Notes
    -----
    A daily series counts from the first session that becomes known at or after its release; a
    monthly one from the first session after the New York date of its release. A value is null
    once its period ended more than 10 days (daily) or 75 days (monthly) before the session.
    z-scores use the last 120 months in the vintage that counts, and need 60 of them.
    """
    days = sessions.select(pl.col("session").alias("date"), "known_at").sort("date")
    usable = _first_session(raw_macro, days)

    def of(name: str) -> pl.DataFrame:
        return usable.filter(pl.col("series_id") == name)

    states = {
        "cpi_yoy": _handed_over(*(_monthly(of(name), change_on_year) for name in CPI)),
        "ffr": _handed_over(*(_latest(of(name)) for name in FUNDS_RATE)),
        "slope_10y_2y": _latest(_difference(of("DGS10"), of("DGS2"))),
        "ism_pmi": _monthly(of("ISM_MAN_PMI"), dict),
        "unemp": _monthly(of("UNRATE"), dict),
    }
    rows = days
    for name, state in states.items():
        rows = rows.join(_on_sessions(state, days, name), on="date", maintain_order="left")
    return _finished(rows, tuple(states))


def change_on_year(level: Values) -> dict[int, float]:
    """Return the percent change of each month on the same month a year before."""
    return {
        month: 100.0 * (value / level[month - 12] - 1.0)
        for month, value in level.items()
        if month - 12 in level
    }


def _first_session(raw: pl.DataFrame, days: pl.DataFrame) -> pl.DataFrame:
    """Add `session`, the first at which each vintage counts; drop those that never do here."""
    daily = raw.filter(pl.col("frequency") == "D").sort("release_datetime")
    daily = daily.join_asof(
        days.select("known_at", session="date").sort("known_at"),
        left_on="release_datetime",
        right_on="known_at",
        strategy="forward",
        suffix="_session",
    )
    other = (
        raw.filter(pl.col("frequency") != "D")
        .with_columns(
            released_on=pl.col("release_datetime").dt.convert_time_zone(NEW_YORK).dt.date()
        )
        .sort("released_on")
        .join_asof(
            days.select(session="date"),
            left_on="released_on",
            right_on="session",
            strategy="forward",
            allow_exact_matches=False,
            coalesce=False,
        )
    )
    return pl.concat([frame.select(_VINTAGE) for frame in (daily, other)]).drop_nulls("session")


_MONTHLY = pl.col("frequency") != "D"
_PERIOD_END = (
    pl.when(_MONTHLY)
    .then(pl.col("macro_value_date").dt.month_end())
    .otherwise(pl.col("macro_value_date"))
)
_VINTAGE = (
    pl.col("series_id"),
    pl.col("session"),
    pl.col("macro_value_date").alias("period"),
    (_PERIOD_END + pl.when(_MONTHLY).then(MAX_AGE["M"]).otherwise(MAX_AGE["D"])).alias("until"),
    pl.col("value"),
    pl.col("release_datetime").alias("released"),
    (pl.col("source") == "simulated").alias("simulated"),
)


def _latest(vintages: pl.DataFrame) -> pl.DataFrame:
    """Return the states of "the value of the newest period, in its newest vintage"."""
    return (
        vintages.sort("session", "period", "released")
        # A late revision of an older period says nothing about the newest one.
        .filter(pl.col("period") >= pl.col("period").cum_max())
        .unique("session", keep="last", maintain_order=True)
        .with_columns(z=pl.lit(None, pl.Float64))
        .select(*STATE)
    )


def _difference(left: pl.DataFrame, right: pl.DataFrame) -> pl.DataFrame:
    """Return vintages of left minus right for equal periods, counting once both do."""
    older = pl.min_horizontal("released", "released_right")
    return (
        left.join(right, on="period")
        .select(
            "period",
            pl.max_horizontal("session", "session_right").alias("session"),
            pl.min_horizontal("until", "until_right").alias("until"),
            (pl.col("value") - pl.col("value_right")).alias("value"),
            pl.max_horizontal("released", "released_right").alias("released"),
            pl.col("simulated") | pl.col("simulated_right"),
            older.alias("older"),
        )
        # Of several pairs that became complete together, the one of the newest vintages.
        .sort("period", "session", "released", "older")
        .unique(["period", "session"], keep="last", maintain_order=True)
    )


def _monthly(vintages: pl.DataFrame, measure: Callable[[Values], dict[int, float]]) -> pl.DataFrame:
    """Return the states of the newest month of `measure`, with its z-score.

    The measure is computed anew at each session with a release, from all months in the vintages
    that count then.
    """
    known: dict[int, float] = {}
    released, simulated = None, False
    states: list[tuple[object, ...]] = []
    ordered = vintages.sort("session", "released", "period")
    for (session,), news in ordered.group_by("session", maintain_order=True):
        known |= zip(map(_month, news["period"]), news["value"], strict=True)
        released = max(filter(None, (released, news["released"].max())))  # type: ignore[type-var]
        simulated = simulated or bool(news["simulated"].any())
        measured = measure(known)
        if measured:
            newest = max(measured)
            until = _month_end(newest) + MAX_AGE["M"]
            z = _z_score(measured, newest)
            states.append((session, until, measured[newest], z, released, simulated))
    return pl.DataFrame(states, schema=STATE, orient="row")


def _z_score(values: Values, newest: int) -> float | None:
    """Return the newest value's distance from the mean of its window, in standard deviations."""
    window = [values[m] for m in range(newest - WINDOW + 1, newest + 1) if m in values]
    if len(window) < LEAST:
        return None
    spread = float(np.std(window, ddof=1))
    return (values[newest] - float(np.mean(window))) / spread if spread > 1e-12 else None


def _month(day: date) -> int:
    return 12 * day.year + day.month - 1


def _month_end(month: int) -> date:
    year, index = divmod(month + 1, 12)
    return date(year, index + 1, 1) - timedelta(days=1)


def _handed_over(*states: pl.DataFrame) -> pl.DataFrame:
    """Return one line of states: each series serves until a preferred one has its first state.

    Decided session by session: "the series that exists" would let the future choose.
    """
    line = states[-1]
    for preferred in reversed(states[:-1]):
        if not preferred.is_empty():
            before = line.filter(pl.col("session") < preferred["session"].min())
            line = pl.concat([before, preferred])
    return line


def _on_sessions(state: pl.DataFrame, days: pl.DataFrame, name: str) -> pl.DataFrame:
    """Carry each state forward until it is replaced or stale; null elsewhere."""
    carried = days.select("date").join_asof(
        state.sort("session"), left_on="date", right_on="session", strategy="backward"
    )
    fresh = pl.col("date") <= pl.col("until")
    return carried.select(
        "date",
        pl.when(fresh).then(pl.col("value")).alias(name),
        pl.when(fresh).then(pl.col("z")).alias(f"{name}|z"),
        pl.when(fresh).then(pl.col("released")).alias(f"{name}|released"),
        (fresh & pl.col("simulated")).fill_null(False).alias(f"{name}|simulated"),
    )


def _finished(rows: pl.DataFrame, names: tuple[str, ...]) -> pl.DataFrame:
    simulated = pl.any_horizontal(f"{name}|simulated" for name in names)
    return rows.select(
        "date",
        *names,
        pl.col("cpi_yoy|z").alias("cpi_yoy_z"),
        pl.col("ism_pmi|z").alias("ism_pmi_z"),
        pl.col("unemp|z").alias("unemp_rate_z"),
        (pl.col("ffr") - pl.col("cpi_yoy")).alias("ffr_real"),
        pl.max_horizontal(f"{name}|released" for name in names).alias("as_of_release"),
        "known_at",
        pl.when(simulated).then(pl.lit("simulated")).otherwise(pl.lit("derived")).alias("source"),
    ).sort("date")
