"""Frames behind the pages: the API's answer, output tables and published labels; nothing else."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import httpx
import polars as pl

from riskcast.core.clock import Clock
from riskcast.core.settings import LOOPBACK, Settings
from riskcast.evaluation.regimes import reliability as by_bin
from riskcast.lake import Lake
from riskcast.pipelines import PIPELINES, tables_written
from riskcast.products import Product
from riskcast.tables import TABLES, Table
from riskcast.tables.gold import LABELS_DAILY
from riskcast.tables.output import DECISIONS, DEPLOYMENTS, LOSSES, PREDICTIONS_DAILY

CHAMPION = "champion"
REGIMES = ("calm", "transition", "risk_off")
LEVELS = (50, 80, 95)
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


def came_true(lake: Lake, symbol: str) -> pl.DataFrame:
    """Published forecasts of the champion whose outcome is known, with rv_5d and regime_5d."""
    return forecasts(lake, symbol).join(outcomes(lake, symbol), on="date", how="inner").sort("date")


def reliability(rows: pl.DataFrame) -> pl.DataFrame:
    """How often each regime came by how often it was said: regime, said, came, sessions.

    Parameters
    ----------
    rows : DataFrame
        `came_true`; those whose regime is not known are left out.
    """
    known = rows.drop_nulls("regime_5d")
    if known.is_empty():
        return pl.DataFrame(schema={"regime": pl.String, "said": pl.Float64, "came": pl.Float64,
                                    "sessions": pl.UInt32})  # fmt: skip
    outcome = known["regime_5d"].replace_strict(dict(zip(REGIMES, range(3), strict=True)))
    probs = known.select(f"p_{name}" for name in REGIMES).to_numpy()
    table = by_bin(probs, outcome.to_numpy())
    names = pl.col("class").replace_strict(dict(enumerate(REGIMES)), return_dtype=pl.String)
    return table.select(names.alias("regime"), "said", "came", pl.col("rows").alias("sessions"))


def coverage(rows: pl.DataFrame, decided: pl.DataFrame) -> pl.DataFrame:
    """Share of outcomes inside each interval, in percent, beside what was promised.

    Columns level, promised, gate (null where the newest verdicts do not say), since, spread,
    sessions. Outcomes of five sessions overlap, so n of them count as n / 5 for the spread, half
    a 95% range.

    Parameters
    ----------
    rows : DataFrame
        `came_true`.
    decided : DataFrame
        `decisions`.
    """
    said: dict[str, float] = {}
    for text in reversed(decided["figures"].to_list()):  # a refit's verdict has no coverage
        said |= json.loads(text)
    n, found = rows.height, []
    for level in LEVELS:
        inside = rows["rv_5d"].is_between(rows[f"lo_{level}"], rows[f"hi_{level}"]).mean()
        gate = said.get(f"coverage_{level}")
        spread = 196 * (level / 100 * (1 - level / 100) / max(n / 5, 1)) ** 0.5
        found.append(
            (level, float(level), None if gate is None else 100 * gate,
             None if inside is None else 100 * float(inside), spread, n)  # type: ignore[arg-type]
        )  # fmt: skip
    names = ("level", "promised", "gate", "since", "spread", "sessions")
    kinds = (pl.Int64, *[pl.Float64] * 4, pl.Int64)
    return pl.DataFrame(found, schema=dict(zip(names, kinds, strict=True)), orient="row")


def pipelines(lake: Lake) -> pl.DataFrame:
    """For each pipeline: what it runs on, and which table it writes was last written when.

    By the tables themselves, so that it holds wherever steps run; a table may have several
    writers.
    """
    newest = {name: _newest(lake, TABLES[name]) for name in tables_written(PIPELINES.values())}
    rows = []
    for each in PIPELINES.values():
        written = {t.name for step in each.steps for t in (*step.writes, *step.commits)}
        stamps = [(*newest[name], name) for name in written]
        at, known, name = max((s for s in stamps if s[0]), default=("", "", ""))
        events = " or ".join(f"event of {name}" for name in each.on)
        runs = ", ".join(filter(None, (each.schedule.strip("@").replace("_", " "), events)))
        rows.append((each.name, runs or "by hand", name, at, known))
    names = ("pipeline", "runs on", "last wrote", "at, UTC", "known up to, UTC")
    return pl.DataFrame(rows, schema=dict.fromkeys(names, pl.String), orient="row")


def _newest(lake: Lake, table: Table) -> tuple[str, str]:
    """Return when a table was last written and up to when its rows are known, empty if never."""
    at, known = lake.read(table).select(pl.col("ingested_at", "known_at").max()).row(0)
    return ("", "") if at is None else (f"{at:%Y-%m-%d %H:%M}", f"{known:%Y-%m-%d %H:%M}")


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
