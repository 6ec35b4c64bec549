"""The page of a monitoring run: Evidently's report with the calibrated verdicts on top."""

from __future__ import annotations

from datetime import date
from html import escape
from pathlib import Path

import numpy as np
import polars as pl

from riskcast.core.settings import Settings
from riskcast.core.window import Window
from riskcast.evaluation.design import real_values
from riskcast.lake.rows import inside
from riskcast.monitoring.drift import DAILY
from riskcast.products import Product

CHAMPION = "champion"
CURRENT = 63  # sessions on the page; the verdicts look at the last month
FEWEST = 20  # forecasts with an outcome, for the quality of the regression
INDEX = "index.html"
STYLE = (
    "font:15px/1.5 system-ui,sans-serif;max-width:1080px;margin:2em auto;padding:0 1em;"
    "color:#111827;background:#fff"
)


def report(
    features: pl.DataFrame,
    labels: pl.DataFrame,
    predictions: pl.DataFrame,
    health: pl.DataFrame,
    *,
    settings: Settings,
    window: Window,
    product: Product,
) -> None:
    """Write the page of the window's newest session and the index of all pages.

    The reference is what the verdicts use: the sessions before the quarter on the page. Without a
    judged session in the window nothing is written.
    """
    found = health.filter(inside(window))
    judged = found.filter((pl.col("check") == "drift") & (pl.col("subject") != "all"))
    if judged.is_empty():
        return
    latest = found.filter(pl.col("at") == judged["at"].max())
    names = tuple(
        name
        for name in judged["subject"].unique(maintain_order=True)
        if name in {column.name for column in product.features.columns}
    )
    day = features.filter(pl.col("known_at") <= window.end)["date"].max()
    assert isinstance(day, date)  # noqa: S101  a judged session has features
    html = _evidently(features, names, _outcomes(predictions, labels), settings)
    folder = settings.reports_path
    folder.mkdir(parents=True, exist_ok=True)
    top = _verdicts(latest, product, day)
    _replace(folder / f"{product.name}-{day}.html", html.replace("<body>", f"<body>{top}", 1))
    _replace(folder / INDEX, _index(folder))


def _outcomes(predictions: pl.DataFrame, labels: pl.DataFrame) -> pl.DataFrame:
    mine = predictions.filter(pl.col("slot") == CHAMPION)
    known = mine.join(labels.select("symbol", "date", "rv_5d"), on=["symbol", "date"])
    return known.sort("date").select(
        pl.col("rv_5d").alias("target"), pl.col("rv_5d_hat").alias("prediction")
    )


def _evidently(
    features: pl.DataFrame, names: tuple[str, ...], outcomes: pl.DataFrame, settings: Settings
) -> str:
    # Imported here: it takes many seconds, and nothing else needs it.
    from evidently import DataDefinition, Dataset, Regression, Report
    from evidently.presets import DataDriftPreset, DataSummaryPreset, RegressionPreset

    rows = features.sort("date")
    values = pl.DataFrame(real_values(rows, names), schema=list(names), nan_to_null=True)
    drawn = values.tail(DAILY.reference + CURRENT)
    columns = [name for name in names if drawn[name].n_unique() > 2]
    definition = DataDefinition(numerical_columns=columns)
    past, now = (
        Dataset.from_pandas(part.select(columns).to_pandas(), data_definition=definition)
        for part in (drawn.head(-CURRENT), drawn.tail(CURRENT))
    )
    limits = {"num_threshold": float(settings.limit_psi), "num_method": "psi"}
    share = float(settings.limit_drift_share)
    drift = DataDriftPreset(columns=columns, drift_share=share, **limits)
    page = Report([drift, DataSummaryPreset(columns=columns)]).run(now, past)
    html: str = page.get_html_str(as_iframe=False)
    if outcomes.height >= FEWEST:
        quality = DataDefinition(
            numerical_columns=["target", "prediction"],
            regression=[Regression(target="target", prediction="prediction")],
        )
        scored = Dataset.from_pandas(outcomes.to_pandas(), data_definition=quality)
        figures = Report([RegressionPreset()]).run(scored, None)
        html = html.replace("<body>", f"<body>{_quality(figures.dict())}", 1)
    return html


def _quality(figures: dict[str, list[dict[str, object]]]) -> str:
    rows = "".join(
        f"<tr><td>{escape(str(m['metric_name']))}</td><td>{escape(_number(m['value']))}</td></tr>"
        for m in figures["metrics"]
    )
    return (
        f"<section style='{STYLE}'><h2>Realised quality of published forecasts</h2>"
        f"<table>{rows}</table></section>"
    )


def _number(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_number(part)}" for name, part in value.items())
    return f"{value:.4g}" if isinstance(value, float | np.floating) else str(value)


def _verdicts(latest: pl.DataFrame, product: Product, day: date) -> str:
    order = pl.col("verdict").replace_strict({"alarm": 0, "warn": 1, "ok": 2})
    rows = "".join(
        f"<tr><td>{escape(r['check'])}</td><td>{escape(r['subject'])}</td>"
        f"<td><b>{r['verdict']}</b></td><td>{escape(r['why'])}</td></tr>"
        for r in latest.sort(order, "check", "subject").iter_rows(named=True)
    )
    return (
        f"<section style='{STYLE}'><h1>{escape(product.name)} {day}</h1>"
        "<p>Verdicts against bounds from each series' own past. The tests further below hold the "
        "same sessions against one fixed limit for all, which persistent series pass most weeks; "
        "nothing follows from those.</p>"
        f"<table><tr><th>check</th><th>subject</th><th>verdict</th><th>why</th></tr>{rows}</table>"
        "</section>"
    )


def _index(folder: Path) -> str:
    pages = sorted((p for p in folder.glob("*.html") if p.name != INDEX), reverse=True)
    items = "".join(f"<li><a href='{p.name}'>{escape(p.stem)}</a></li>" for p in pages)
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'><title>Reports</title></head>"
        f"<body style='{STYLE}'><h1>Monitoring reports</h1><ul>{items}</ul></body></html>"
    )


def _replace(path: Path, text: str) -> None:
    """Write the file whole or not at all: it is served while it is replaced."""
    beside = path.with_suffix(".part")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)


def newest(settings: Settings, product: Product) -> Path | None:
    """Return the newest page of a product, None if there is none."""
    pages = sorted(settings.reports_path.glob(f"{product.name}-*.html"))
    return pages[-1] if pages else None
