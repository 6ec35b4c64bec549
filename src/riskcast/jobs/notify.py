"""Mail what changed: once when it begins, once when it ends, and the day's forecast."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from riskcast.alerts import send
from riskcast.alerts.letters import ROWS, Figures, Letter
from riskcast.core.clock import wall
from riskcast.core.settings import Settings
from riskcast.core.window import Window
from riskcast.lake import Lake
from riskcast.lake.rows import inside
from riskcast.monitoring.plots import drift_picture, forecast_picture
from riskcast.products import Product
from riskcast.tables.output import NOTICES

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


@dataclass(frozen=True, slots=True)
class Due:
    """A mail to send and how it is remembered."""

    key: str
    kind: str
    state: str
    letter: Letter


def notify(
    health: pl.DataFrame,
    predictions: pl.DataFrame,
    labels: pl.DataFrame,
    deployments: pl.DataFrame,
    *,
    settings: Settings,
    lake: Lake,
    window: Window,
    product: Product,
) -> None:
    """Send the mails that are due and remember them; none in a backfill or without a server.

    A mail is remembered after it was taken by the server: stopped in between, a second run sends
    it again rather than never.

    Raises
    ------
    MailFailed
        If the server does not take a mail; those before it are remembered.
    """
    if not settings.mails or _backfill(lake, product, window):
        return
    told = lake.read(NOTICES)
    fresh = health.filter(inside(window))
    for due in (
        *_alarms(fresh, told, product),
        *_deployed(deployments.filter(inside(window)), told),
        *_digest(fresh, predictions, labels, told, product),
    ):
        _remember(lake, due, send(settings, due.letter.mail()))


def _backfill(lake: Lake, product: Product, window: Window) -> bool:
    """Whether the lake knows sessions after the window."""
    newest = lake.read(product.features)["known_at"].max()
    return isinstance(newest, datetime) and newest > window.end


def _remember(lake: Lake, due: Due, message_id: str) -> None:
    now = wall()
    row = pl.DataFrame(
        {
            "key": [due.key],
            "at": [now],
            "kind": [due.kind],
            "subject": [due.letter.decision],
            "state": [due.state],
            "message_id": [message_id],
            "known_at": [now],
            "source": ["mail"],
        },
        schema_overrides={name: pl.Datetime("us", "UTC") for name in ("at", "known_at")},
    )
    lake.write(NOTICES, row, Window(now - timedelta(microseconds=1), now))


def _alarms(fresh: pl.DataFrame, told: pl.DataFrame, product: Product) -> Iterator[Due]:
    """Yield what began and what ended, a mail for each check."""
    if fresh.is_empty():
        return
    latest = fresh.filter(pl.col("at") == pl.col("at").max())
    for check in ADVICE:
        key = f"{product.name}|{check}"
        before = told.filter(pl.col("key") == key).sort("at")
        is_open = before.height > 0 and before["state"][-1] == "open"
        if check == "drift":  # one series is a line of the digest; the family is a mail
            latest = latest.filter((pl.col("check") != "drift") | _serious(latest))
        # Requests are instants, not states: they are told once and never resolved.
        passing = check in ("retrain", "rollback")
        rows = (fresh if passing else latest).filter(
            (pl.col("check") == check) & (pl.col("verdict") == "alarm")
        )
        if passing:
            for at in rows["at"].unique().sort():
                if told.filter(pl.col("key") == f"{key}|{at:%F}").is_empty():
                    letter = alarm_letter(check, rows, fresh, product)
                    yield Due(f"{key}|{at:%F}", check, "told", letter)
        elif rows.height and not is_open:
            yield Due(key, check, "open", alarm_letter(check, rows, fresh, product))
        elif rows.is_empty() and is_open:
            yield Due(key, "resolved", "resolved", resolved_letter(check, latest, product))


def _serious(rows: pl.DataFrame) -> pl.Expr:
    """Return whether drift of all series together alarms."""
    family = (pl.col("check") == "drift") & (pl.col("subject") == "all")
    return pl.lit(value=rows.filter(family & (pl.col("verdict") == "alarm")).height > 0)


def alarm_letter(check: str, rows: pl.DataFrame, fresh: pl.DataFrame, product: Product) -> Letter:
    """Return the mail on a check that alarms; drift is drawn."""
    rows = rows.sort("subject")
    first = rows.filter(pl.col("subject") == "all")
    why = (first if first.height else rows)["why"][0]
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
    return Letter(f"Resolved: {check} ({product.name})", f"{why}.", "ok", _footer(latest))


def _deployed(fresh: pl.DataFrame, told: pl.DataFrame) -> Iterator[Due]:
    for row in fresh.sort("at").iter_rows(named=True):
        key = f"deployment|{row['event_id']}"
        if told.filter(pl.col("key") == key).is_empty():
            yield Due(key, "deployment", "told", deployment_letter(row))


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
    decision = f"Version {row['model_version']} serves {row['product']} ({row['action']})"
    footer = f"Recorded {row['at']:%Y-%m-%d %H:%M} UTC. Go back with: riskcast models rollback"
    return Letter(decision, f"{row['why']}.", "ok", footer, tables=(table,))


def _digest(
    fresh: pl.DataFrame,
    predictions: pl.DataFrame,
    labels: pl.DataFrame,
    told: pl.DataFrame,
    product: Product,
) -> Iterator[Due]:
    mine = predictions.filter(pl.col("slot") == CHAMPION).sort("date")
    if mine.is_empty():
        return
    key = f"{product.name}|digest|{mine['date'][-1]}"
    if told.filter(pl.col("key") == key).is_empty():
        yield Due(key, "digest", "told", digest_letter(mine, labels, fresh))


def digest_letter(mine: pl.DataFrame, labels: pl.DataFrame, fresh: pl.DataFrame) -> Letter:
    """Return the day's mail: the forecast, how earlier ones turned out, what is wrong."""
    row = mine.row(-1, named=True)
    regime = max(("calm", "transition", "risk_off"), key=lambda name: row[f"p_{name}"])
    wrong = fresh.filter((pl.col("at") == pl.col("at").max()) & (pl.col("verdict") != "ok")).sort(
        "verdict", "check", "subject"
    )
    alarms = wrong.filter(pl.col("verdict") == "alarm").height
    todo = f"{alarms} alarms, see below" if alarms else "no action needed"
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
    return f"{when}Every figure is in the table health. What to do: docs/runbook.md"


def failure_letter(pipeline: str, step: str, said: str, window: str) -> Letter:
    """Return the mail on a step that failed for good."""
    why = said.strip().splitlines()[-1] if said.strip() else "it said nothing"
    command = f"riskcast run {pipeline} {step} {window}"
    table = Figures("To try again", ("command",), ((command,),))
    decision = f"Rerun {pipeline}.{step}: it failed and nothing after it ran"
    footer = "Nothing of the step was written. What to do: docs/runbook.md"
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
