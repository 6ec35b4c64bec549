"""The pages of a monitoring run: the calibrated verdicts, realised quality, Evidently's figures."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl

from riskcast.core.settings import Settings
from riskcast.core.window import Window
from riskcast.evaluation.design import real_values
from riskcast.jobs import drift_page as page
from riskcast.lake.rows import inside
from riskcast.monitoring.drift import DAILY
from riskcast.monitoring.explained import driver_shares
from riskcast.products import Product

CHAMPION = "champion"
CURRENT = 63  # sessions on the page; the verdicts look at the last month
FEWEST = 20  # forecasts with an outcome, for figures of quality
REGIMES = ("calm", "transition", "risk_off")
QUALITY = "-quality"


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
    """Write the pages of the window's newest session and the index of all pages.

    The reference is what the verdicts use: the sessions before the quarter on the page. Without a
    judged session in the window nothing is written.
    """
    found = health.filter(inside(window))
    judged = found.filter((pl.col("check") == "drift") & (pl.col("subject") != "all"))
    if judged.is_empty():
        return
    known = {column.name for column in product.features.columns}
    names = tuple(n for n in judged["subject"].unique(maintain_order=True) if n in known)
    day = features.filter(pl.col("known_at") <= window.end)["date"].max()
    assert isinstance(day, date)  # noqa: S101  a judged session has features
    folder = settings.reports_path
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{product.name}-{day}"
    mine = predictions.filter(pl.col("slot") == CHAMPION).sort("date")
    scored = _outcomes(mine, labels)
    latest = found.filter(pl.col("at") == judged["at"].max())
    top = page.back() + page.verdicts(latest, product, day) + page.drivers(driver_shares(mine))
    if scored.height >= FEWEST:
        html, figures = _quality(scored)
        top += page.quality(figures, f"{name}{QUALITY}.html", scored.height)
        title = f"<section style='{page.STYLE}'><a href='{name}.html'>{name}</a></section>"
        page.write(folder, f"{name}{QUALITY}.html", html, title)
    page.write(folder, f"{name}.html", _drift(features, names, settings), top)
    page.replace(folder / page.INDEX, page.index(folder, health, QUALITY))


def _outcomes(mine: pl.DataFrame, labels: pl.DataFrame) -> pl.DataFrame:
    known = mine.join(labels.select("symbol", "date", "rv_5d", "regime_5d"), on=["symbol", "date"])
    likeliest = pl.concat_list(f"p_{name}" for name in REGIMES).list.arg_max()
    return known.sort("date").select(
        pl.col("rv_5d").alias("target"),
        pl.col("rv_5d_hat").alias("prediction"),
        pl.col("regime_5d").alias("regime"),
        likeliest.replace_strict(dict(enumerate(REGIMES)), return_dtype=pl.String).alias("named"),
    )


def _drift(features: pl.DataFrame, names: tuple[str, ...], settings: Settings) -> str:
    """Return Evidently's page of drift and of the columns themselves."""
    # Imported here: it takes seconds, and nothing else needs it.
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset, DataSummaryPreset

    rows = features.sort("date").tail(DAILY.reference + CURRENT)
    values = pl.DataFrame(real_values(rows, names), schema=list(names), nan_to_null=True)
    columns = [name for name in names if values[name].n_unique() > 2]
    definition = DataDefinition(numerical_columns=columns)
    past, now = (
        Dataset.from_pandas(part.select(columns).to_pandas(), data_definition=definition)
        for part in (values.head(-CURRENT), values.tail(CURRENT))
    )
    limits = {"num_threshold": float(settings.limit_psi), "num_method": "psi"}
    share = float(settings.limit_drift_share)
    drift = DataDriftPreset(columns=columns, drift_share=share, **limits)
    run = Report([drift, DataSummaryPreset(columns=columns)]).run(now, past)
    return str(run.get_html_str(as_iframe=False))


def _quality(scored: pl.DataFrame) -> tuple[str, dict[str, list[dict[str, object]]]]:
    """Return Evidently's page of how forecasts and named regimes turned out, and its figures."""
    from evidently import DataDefinition, Dataset, MulticlassClassification, Regression, Report
    from evidently.presets import ClassificationQuality, RegressionPreset

    known = scored.drop_nulls("regime")
    presets: list[object] = [RegressionPreset()]
    classes = []
    # Of one class nothing can be told apart, and of two Evidently asks which one is "positive".
    if (
        known["regime"].n_unique() > 1
        and pl.concat([known["regime"], known["named"]]).n_unique() > 2
    ):
        presets.append(ClassificationQuality(conf_matrix=True))
        classes = [MulticlassClassification(target="regime", prediction_labels="named")]
        scored = known
    definition = DataDefinition(
        numerical_columns=["target", "prediction"],
        categorical_columns=["regime", "named"],
        regression=[Regression(target="target", prediction="prediction")],
        classification=classes,
    )
    rows = Dataset.from_pandas(scored.to_pandas(), data_definition=definition)
    run = Report(presets).run(rows, None)
    return str(run.get_html_str(as_iframe=False)), run.dict()


def page_of(settings: Settings, product: Product, day: date) -> Path:
    """Return where the page of a session is, or would be."""
    return settings.reports_path / f"{product.name}-{day}.html"


def newest(settings: Settings, product: Product) -> Path | None:
    """Return the newest page of a product, None if there is none."""
    pages = sorted(settings.reports_path.glob(f"{product.name}-????-??-??.html"))
    return pages[-1] if pages else None
