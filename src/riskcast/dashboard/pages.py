"""The pages. Each reads frames and shows them; it computes nothing that a table should hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import polars as pl
import streamlit as st

from riskcast.core.settings import Settings, read_settings
from riskcast.dashboard import charts, data, shown
from riskcast.lake import Lake, open_lake
from riskcast.products import PRODUCTS, Product
from riskcast.tables.output import HEALTH

REFRESH_SECONDS = 15
SPANS = {"60 sessions": 60, "1 year": 252, "5 years": 1260, "everything": 1_000_000}
PROBABILITIES = tuple(f"p_{name}" for name in charts.REGIMES)
BANDS = tuple(f"{end}_{level}" for level in (50, 80, 95) for end in ("lo", "hi"))


@st.cache_resource
def _lake() -> tuple[Settings, Lake]:
    settings = read_settings()
    return settings, open_lake(settings)


@st.cache_data(ttl=REFRESH_SECONDS, show_spinner="reading")
def _read(name: str, *arguments: Any) -> pl.DataFrame:
    readers: dict[str, Callable[..., pl.DataFrame]] = {
        "forecasts": data.forecasts,
        "outcomes": data.outcomes,
        "came_true": data.came_true,
        "pipelines": data.pipelines,
        "walked": lambda lake, symbol: data.walked(lake, _product(), symbol),
        "decisions": lambda lake: data.decisions(lake, _product()),
        "ledger": lambda lake: data.ledger(lake, _product()),
        "health": lambda lake: lake.read(HEALTH),
    }
    return readers[name](_lake()[1], *arguments)


@st.cache_data(ttl=REFRESH_SECONDS, show_spinner="asking the API")
def _answer() -> data.Answer:
    return data.ask(_lake()[0])


@st.cache_data(ttl=REFRESH_SECONDS, show_spinner="looking at the tables")
def _fresh() -> tuple[pl.DataFrame, str, str]:
    settings, lake = _lake()
    clock = data.clock_of(settings, lake)
    return data.freshness(lake, clock), clock.mode, f"{clock.now():%Y-%m-%d %H:%M} UTC"


def _product() -> Product:
    return next(iter(PRODUCTS.values()))


def _top(title: str) -> str:
    """Heading, what must be known first; returns the symbol."""
    settings, _ = _lake()
    st.title(title)
    table, mode, now = _fresh()
    shown.banner(
        simulated=mode != "live",
        clock=settings.source,
        now=now,
        stale=table.filter(pl.col("verdict") != "fresh")["table"].to_list(),
        fault=_answer().fault,
    )
    symbol: str = settings.asset_symbol
    return symbol


def _span() -> int:
    name = st.segmented_control("Span", list(SPANS), default="60 sessions", key="span")
    return SPANS[name or "60 sessions"]


def forecast() -> None:
    """The newest forecast, what it rests on, and how forecasts and outcomes went before."""
    symbol = _top(f"Risk of {_lake()[0].asset_symbol} over the next five sessions")
    published = _read("forecasts", symbol)
    if published.is_empty():
        st.info("No forecast was published yet: run market_daily once a champion exists.")
        return
    row = published.row(-1, named=True)
    said = _answer().said
    _figures(row, said)
    probabilities = {name: row[f"p_{name}"] for name in charts.REGIMES}
    shown.chart(
        "Probability of each regime",
        charts.probabilities(probabilities),
        pl.DataFrame({"regime": list(probabilities), "probability": list(probabilities.values())}),
    )
    n = _span()
    walked = _read("walked", symbol).filter(pl.col("model") == _product().pool_name)
    outcome = _read("outcomes", symbol)
    seen = pl.concat([outcome["date"], published["date"]]).unique().sort().tail(n)
    recent = [f.filter(pl.col("date") >= seen[0]) for f in (outcome, walked, published)]
    shown.chart(
        "Forecast and outcome",
        charts.fan(*recent),
        recent[0]
        .join(recent[2], on="date", how="full", coalesce=True)
        .sort("date")
        .select("date", "rv_5d", "regime_5d", "rv_5d_hat", *BANDS),
        "Volatility of the five sessions after each day, a year's worth. Sessions before the first"
        " champion have walk-forward forecasts: made with what was known then, never published.",
    )
    meanings = {c.name: c.doc for c in _product().features.every_column}
    names = list(row["top_drivers"])
    drivers = pl.DataFrame(
        {
            "name": names,
            "effect": row["driver_effects"],
            "meaning": [meanings.get(name, "") for name in names],
        }
    )
    shown.chart("What drives it", charts.waterfall(drivers), drivers, row["explanation"] or "")


def _figures(row: dict[str, Any], said: dict[str, Any]) -> None:
    columns = st.columns((3, 3, 4, 4))
    columns[0].metric("Volatility", f"{row['rv_5d_hat']:.2%}")
    columns[1].metric("A year's worth", f"{row['rv_5d_annualised']:.1%}")
    columns[2].metric("80% interval", f"{row['lo_80']:.1%} to {row['hi_80']:.1%}")
    columns[3].metric("Session", str(row["date"]))
    served = said.get("model", {}).get("version", "")
    where = f"answered by {said['slot']} with version {served}" if said else "not answered now"
    shown.small(f"Published by version {row['model_version']}, {where}.")


def regimes() -> None:
    """Which regime followed each session."""
    symbol = _top("Regimes")
    n = _span()
    published = _read("forecasts", symbol).tail(n).select("date", *PROBABILITIES)
    shown.chart(
        "Probabilities published",
        charts.probabilities_along(published),
        published,
        "What each session's forecast gave to the five sessions after it.",
    )
    outcome = _read("outcomes", symbol).tail(n)
    shown.chart(
        "What followed each session",
        charts.ribbon(outcome),
        outcome,
        "Calm and risk-off are below and above quantiles of past outcomes known at that session.",
    )
    counted = outcome.drop_nulls().group_by("regime_5d").len("sessions").sort("regime_5d")
    shown.numbers("How often each came", counted)


def skill() -> None:
    """What the gate saw, and the loss saved along time."""
    symbol = _top("Skill")
    verdicts = _read("decisions")
    if verdicts.is_empty():
        st.info("Nothing was judged yet.")
        return
    last = verdicts.row(0, named=True)
    tell = st.success if last["verdict"] == "promote" else st.error
    tell(f"{last['candidate']}, {last['as_of']:%Y-%m-%d}: {last['verdict']}. {last['reason']}.")
    walked, pool = _read("walked", symbol), _product().pool_name
    wide = walked.pivot("model", index="date", values="qlike").sort("date")
    references = [m for m in ("hv20", _product().benchmark, _product().fallback_benchmark)
                  if m in wide.columns][:2]  # fmt: skip
    curve = pl.concat(
        wide.select(
            "date",
            reference=pl.lit(name),
            saved=(pl.col(name) - pl.col(pool)).cum_sum(),
        )
        for name in references
    )
    shown.chart(
        "Loss saved along time",
        charts.saved(curve),
        curve,
        f"Walk-forward QLIKE of {pool} against each reference, added up; rising is better.",
    )
    by_year = walked.group_by(pl.col("date").dt.year().alias("year"), "model").agg(
        pl.col("qlike").mean().round(4)
    )
    years = by_year.pivot("model", index="year", values="qlike").sort("year")
    first = ["year", pool, *references]
    years = years.select(*first, *(name for name in years.columns if name not in first))
    st.subheader("Mean QLIKE by year")
    st.dataframe(years.to_pandas(), hide_index=True, width="stretch")
    shown.numbers("Every figure of the verdict", data.figures_of(last["figures"]))
    shown.numbers("Verdicts", verdicts.drop("figures"))


def calibration() -> None:
    """Whether what was published holds: intervals and probabilities beside what came."""
    symbol = _top("Calibration")
    rows = _read("came_true", symbol)
    if rows.is_empty():
        st.info("No published forecast has an outcome yet: five sessions must pass after it.")
        return
    shown.small(f"{rows.height:,} published forecasts have an outcome, up to {rows['date'][-1]}.")
    covered = data.coverage(rows, _read("decisions"))
    shown.chart(
        "Coverage of the intervals",
        charts.coverage(covered),
        covered,
        "The line on what was promised is the range that chance alone explains 19 times in 20: "
        "wide while forecasts are few. What was published since should end within it.",
    )
    reliable = data.reliability(rows)
    shown.chart(
        "Reliability of the regimes",
        charts.reliability(reliable),
        reliable,
        "Above the dotted line a regime came more often than was said, below it less often.",
    )


def health() -> None:
    """Drift, freshness, pipelines and realised loss, look by look."""
    _top("Health")
    table = _fresh()[0]
    st.subheader("Freshness")
    st.dataframe(table.to_pandas(), hide_index=True, width="stretch")
    rows = _read("health")
    if rows.is_empty():
        st.info("Nothing was looked at yet: run the pipeline monitor.")
    for (check,), part in rows.sort("at").group_by(["check"], maintain_order=True):
        shown.chart(f"{check}".replace("_", " ").capitalize(), charts.heat(part), part)
    st.subheader("Pipelines")
    shown.small("Which of its tables was last written; runs and their logs are in Airflow.")
    st.dataframe(_read("pipelines").to_pandas(), hide_index=True, width="stretch")


def deployments() -> None:
    """What served when, who moved it and why."""
    _top("Deployments")
    rows = _read("ledger")
    shown.chart("What was live", charts.timeline(rows), rows)
