"""The letters of monitoring, each from rows of its tables; when they are due is `jobs.notify`."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import polars as pl

from riskcast.alerts.letters import ROWS, Figures, Letter
from riskcast.monitoring.plots import drift_picture, forecast_picture
from riskcast.products import Product

CHAMPION = "champion"
DRAWN = 63  # sessions
# What the reader is to do, by check, from the most urgent.
ADVICE = {
    "rollback": "Check the rollback: the champion failed grossly and had to go",
    "guardrail": "Watch the champion: its losses are grossly worse",
    "freshness": "Find the source: data are stale",
    "skew": "Rebuild the features: stored ones are not what the bars give",
    "missing": "Find the source: values are missing",
    "retrain": "Await the retraining: the market has left the model's past",
    "drift": "Read forecasts with care: the market has left the model's past",
    "skill": "Review the model: forecasts are worse than promised",
}
# The same by action of the ledger.
DEPLOYED = {
    "promote": "No action needed: version {version} serves {product}",
    "rollback": "Find out why: version {version} serves {product} again (rollback)",
    "move": "No action needed: version {version} serves {product} from the other colour",
    "abort": "Read why: version {version} of {product} was not rolled out, the champion stays",
    "refuse": "Read why: version {version} of {product} was refused, the champion stays",
}


def alarm_letter(check: str, rows: pl.DataFrame, fresh: pl.DataFrame, product: Product) -> Letter:
    """Return the mail on a check that alarms; drift is drawn."""
    rows = rows.sort("subject")
    first = rows.filter(pl.col("subject") == "all")
    why = (first if first.height else rows)["why"][0].removeprefix(f"{check}: ")
    images: dict[str, bytes] = {}
    pictures: tuple[tuple[str, str], ...] = ()
    series = fresh.filter(
        (pl.col("check") == "drift")
        & (pl.col("subject") != "all")
        & (pl.col("at") == rows["at"].max())
        & (pl.col("threshold") > 0)
    )
    if check in ("drift", "retrain") and series.height:
        shares = (series["value"] / series["threshold"]).to_list()
        images = {"drift": drift_picture(series["subject"].to_list(), shares)}
        pictures = (("drift", f"Drift of each series over its own bound. {why}"),)
    return Letter(
        f"{ADVICE[check]} ({product.name})",
        f"{why}.",
        "alarm",
        _footer(rows),
        tables=(_figures(rows),),
        pictures=pictures,
        images=images,
    )


def resolved_letter(check: str, latest: pl.DataFrame, product: Product) -> Letter:
    """Return the follow-up to an alarm that has ended."""
    why = f"The alarm of {check} has ended; nothing is left to do"
    decision = f"Resolved: {check} ({product.name}), no action needed"
    return Letter(decision, f"{why}.", "ok", _footer(latest))


def deployment_letter(row: dict[str, object]) -> Letter:
    """Return the notice of a row of `deployments`."""
    before = row["previous"] or "none"
    table = Figures(
        "Ledger",
        ("what", "value"),
        (
            ("action", str(row["action"])),
            ("version", str(row["model_version"])),
            ("before", str(before)),
            ("who", str(row["who"])),
        ),
    )
    said = DEPLOYED.get(str(row["action"]), "Read why: {action} of version {version}")
    decision = said.format(version=row["model_version"], **row)
    footer = f"Recorded {row['at']:%Y-%m-%d %H:%M} UTC. Go back with: riskcast models rollback"
    return Letter(decision, f"{row['why']}.", "ok", footer, tables=(table,))


def digest_letter(mine: pl.DataFrame, labels: pl.DataFrame, fresh: pl.DataFrame) -> Letter:
    """Return the day's mail: the forecast, how earlier ones turned out, what is wrong."""
    row = mine.row(-1, named=True)
    regime = max(("calm", "transition", "risk_off"), key=lambda name: row[f"p_{name}"])
    wrong = fresh.filter((pl.col("at") == pl.col("at").max()) & (pl.col("verdict") != "ok")).sort(
        "verdict", "check", "subject"
    )
    alarms = wrong.filter(pl.col("verdict") == "alarm").height
    todo = f"{alarms} alarm{'s' if alarms > 1 else ''}, see below" if alarms else "no action needed"
    decision = f"{row['symbol']} {row['date']}: {100 * row['rv_5d_hat']:.1f}% in 5 sessions, {todo}"
    why = (
        f"80% interval {100 * row['lo_80']:.1f} to {100 * row['hi_80']:.1f}%; most likely "
        f"{regime.replace('_', '-')} ({row['p_' + regime]:.0%}). Moved most by "
        f"{', '.join(row['top_drivers'][:3])}."
    )
    outcome = labels.select("symbol", "date", "rv_5d")
    drawn = mine.join(outcome, on=["symbol", "date"], how="left").sort("date").tail(DRAWN)
    return Letter(
        decision,
        why,
        "alarm" if alarms else "warn" if wrong.height else "ok",
        f"Model version {row['model_version']}. {_footer(fresh)}",
        tables=(_figures(wrong),) if wrong.height else (),
        pictures=(("forecast", f"The last {len(drawn)} forecasts and what came. {why}"),),
        images={"forecast": forecast_picture(drawn)},
    )


def _figures(rows: pl.DataFrame) -> Figures:
    shown = [
        (f"{r['check']}: {r['subject']}", str(r["verdict"]), str(r["why"]))
        for r in rows.head(ROWS).iter_rows(named=True)
    ]
    left = rows.height - len(shown)
    title = f"What was found{f' (and {left} more in the table health)' if left > 0 else ''}"
    return Figures(title, ("check", "verdict", "why"), tuple(shown))


def _footer(rows: pl.DataFrame) -> str:
    at = rows["at"].max()
    when = f"As known {at:%Y-%m-%d %H:%M} UTC. " if isinstance(at, datetime) else ""
    return f"{when}Every figure is in the table health. What to do: docs/runbook.md#monitor"


def refused_letter(row: dict[str, object]) -> Letter:
    """Return the mail on a candidate that failed its gate, from its row of `decisions`."""
    figures = json.loads(str(row["figures"]))
    shown = tuple(
        (name, f"{value:.4g}" if isinstance(value, float) else str(value))
        for name, value in figures.items()
        if not isinstance(value, dict | list)
    )
    return Letter(
        f"No action needed: {row['product']} kept its champion, the new fit failed its gate",
        f"{row['reason']}.",
        "warn",
        f"As known {row['as_of']:%Y-%m-%d %H:%M} UTC. To promote it all the same, tag its version "
        "override=<reason> in MLflow. What to do: docs/runbook.md#deploy",
        tables=(Figures("What the verdict rests on", ("figure", "value"), shown),),
    )


def alert_letter(alert: dict[str, Any]) -> Letter:
    """Return the mail that a client of the API asked for."""
    note = f" Note: {alert['note']}" if alert["note"] else ""
    drifted = ", ".join(alert["drifted_features"][:ROWS]) or "none"
    return Letter(
        f"Look at the drift of {alert['product']}: {alert['client']} asked to be alerted",
        f"{alert['drift_score']:.0%} of the subjects drifted; {alert['threshold']:.0%} were asked "
        f"for. Drifted: {drifted}.{note}",
        "alarm",
        f"Asked {alert['at']} through the API. What to do: docs/runbook.md#monitor",
    )


def failure_letter(pipeline: str, step: str, said: str, window: str) -> Letter:
    """Return the mail on a step that failed for good."""
    why = said.strip().splitlines()[-1] if said.strip() else "it said nothing"
    command = f"riskcast run {pipeline} {step} {window}"
    table = Figures("To try again", ("command",), ((command,),))
    decision = f"Rerun {pipeline}.{step}: it failed and nothing after it ran"
    footer = f"Nothing of the step was written. What to do: docs/runbook.md#{pipeline}"
    return Letter(decision, why, "alarm", footer, tables=(table,))


def preview(
    kind: str,
    health: pl.DataFrame,
    predictions: pl.DataFrame,
    labels: pl.DataFrame,
    deployments: pl.DataFrame,
    product: Product,
) -> Letter | None:
    """Return the newest mail of a kind as it would be sent; None if there is nothing to tell."""
    if kind == "failure":
        return failure_letter("market_daily", "ingest_market", "the source did not answer", "")
    if kind == "deployment":
        rows = deployments.sort("at")
        return deployment_letter(rows.row(-1, named=True)) if rows.height else None
    if kind == "digest":
        mine = predictions.filter(pl.col("slot") == CHAMPION).sort("date")
        return digest_letter(mine, labels, health) if mine.height else None
    rows = health.filter((pl.col("check") == kind) & (pl.col("verdict") == "alarm"))
    rows = rows.filter(pl.col("at") == pl.col("at").max())
    return alarm_letter(kind, rows, health, product) if rows.height else None
