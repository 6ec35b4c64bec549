"""Frames behind the pages: the API's answer, output tables and published labels; nothing else."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import httpx
import polars as pl

from riskcast.core.clock import Clock
from riskcast.core.settings import LOOPBACK, Settings
from riskcast.lake import Lake
from riskcast.products import Product
from riskcast.tables import TABLES
from riskcast.tables.gold import LABELS_DAILY
from riskcast.tables.output import DECISIONS, DEPLOYMENTS, LOSSES, PREDICTIONS_DAILY

CHAMPION = "champion"
ANSWER_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What the API says now.

    Attributes
    ----------
    said : mapping
        The body of /predict; empty if it did not answer with a forecast.
    fault : str
        Why there is none, empty if there is.
    """

    said: dict[str, Any]
    fault: str = ""


def ask(settings: Settings) -> Answer:
    """Ask the API for the newest forecast, as any client would."""
    url = settings.api_url or f"http://{LOOPBACK}:{settings.api_port}"
    try:
        key = (settings.keys_path / "api.key").read_text().strip()
        answer = httpx.post(
            f"{url}/predict",
            json={},
            headers={"X-API-Key": key},
            timeout=ANSWER_SECONDS,
            trust_env=False,
        )
        said = answer.json()
    except (OSError, ValueError, httpx.HTTPError) as error:
        return Answer({}, f"{url} did not answer: {error}")
    if answer.status_code != httpx.codes.OK:
        fault = said.get("error", {})
        return Answer({}, f"{fault.get('code', answer.status_code)}: {fault.get('message', '')}")
    return Answer(said)


def forecasts(lake: Lake, symbol: str, role: str = CHAMPION) -> pl.DataFrame:
    """Published forecasts of one role, oldest first."""
    return (
        lake.read(PREDICTIONS_DAILY)
        .filter((pl.col("symbol") == symbol) & (pl.col("slot") == role))
        .sort("date")
    )


def outcomes(lake: Lake, symbol: str) -> pl.DataFrame:
    """What happened after each session: date, rv_5d, regime_5d, oldest first."""
    rows = lake.read(LABELS_DAILY).filter(pl.col("symbol") == symbol).sort("date")
    return rows.select("date", "rv_5d", "regime_5d")


def walked(lake: Lake, product: Product, symbol: str) -> pl.DataFrame:
    """Walk-forward losses of the recipe judged last: date, model, variance_hat, variance, qlike."""
    judged = lake.read(DECISIONS).filter(pl.col("product") == product.name).sort("as_of")
    losses = lake.read(LOSSES).filter(
        (pl.col("product") == product.name)
        & (pl.col("evaluation") == "walk_forward")
        & (pl.col("symbol") == symbol)
    )
    recipe = judged["recipe"][-1] if judged.height else ""
    wanted = ["date", "model", "variance_hat", "variance", "qlike", "sq_error"]
    return losses.filter(pl.col("recipe") == recipe).select(wanted).sort("date", "model")


def decisions(lake: Lake, product: Product) -> pl.DataFrame:
    """Verdicts of the gate, newest first, figures beside."""
    rows = lake.read(DECISIONS).filter(pl.col("product") == product.name)
    return rows.sort("as_of", descending=True).select(
        "as_of", "candidate", "recipe", "verdict", "reason", "figures"
    )


def figures_of(text: str) -> pl.DataFrame:
    """The figures a verdict rests on: figure, value."""
    said: dict[str, float] = json.loads(text)
    return pl.DataFrame(
        {"figure": list(said), "value": [float(value) for value in said.values()]},
        schema={"figure": pl.String, "value": pl.Float64},
    )


def ledger(lake: Lake, product: Product) -> pl.DataFrame:
    """What was live when, newest first."""
    rows = lake.read(DEPLOYMENTS).filter(pl.col("product") == product.name)
    return rows.sort("at", descending=True).select(
        "at", "action", "model_version", "previous", "who", "why"
    )


def freshness(lake: Lake, clock: Clock) -> pl.DataFrame:
    """For each table that promises to be fresh: newest row, age and verdict."""
    rows = []
    for table in TABLES.values():
        if table.fresh is None:
            continue
        newest = lake.read(table)["known_at"].max()
        age = None if newest is None else (clock.now() - newest).total_seconds() / 3600  # type: ignore[operator, union-attr]
        allowed = table.fresh.total_seconds() / 3600
        verdict = "missing" if age is None else ("stale" if age > allowed else "fresh")
        rows.append((table.name, newest, age, allowed, verdict))
    return pl.DataFrame(
        rows,
        schema={
            "table": pl.String,
            "newest known at": pl.Datetime("us", "UTC"),
            "age, hours": pl.Float64,
            "allowed, hours": pl.Float64,
            "verdict": pl.String,
        },
        orient="row",
    )


def clock_of(settings: Settings, lake: Lake) -> Clock:
    """The clock that runs: the wall's for live data, the newest label's session otherwise."""
    if settings.live:
        return Clock()
    newest = lake.read(PREDICTIONS_DAILY)["known_at"].max()
    return Clock.sample(newest) if newest is not None else Clock()  # type: ignore[arg-type]
