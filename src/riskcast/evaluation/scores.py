"""Tables of scores from a walk-forward record."""

from __future__ import annotations

import polars as pl

from riskcast.core.errors import NotEnoughHistory
from riskcast.evaluation.diebold_mariano import diebold_mariano
from riskcast.evaluation.losses import with_losses
from riskcast.models.base import Floats
from riskcast.products import Product


def common_span(record: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of sessions for which every model has a forecast, with their losses.

    Raises
    ------
    NotEnoughHistory
        If there is no such session.
    """
    models = record["model"].n_unique()
    rows = record.filter(pl.len().over("date") == models).sort("model", "date")
    if rows.is_empty():
        raise NotEnoughHistory(f"no session has a forecast of each of {models} models")
    return with_losses(rows)


def losses_of(scored: pl.DataFrame, model: str, loss: str = "qlike") -> Floats:
    """Return a loss of one model, qlike or sq_error, in order of date."""
    values: Floats = scored.filter(pl.col("model") == model).sort("date")[loss].to_numpy()
    return values


def gain(loss: float, reference: float) -> float:
    """Return how many percent smaller a loss is than the reference's."""
    return 100 * (1 - loss / reference)


def score(record: pl.DataFrame, product: Product) -> pl.DataFrame:
    """Score every model on the sessions they share, best first.

    Returns
    -------
    DataFrame
        Columns model, rows, qlike, rmse_bp and mae_bp (1e4 times, on the scale of rv_5d),
        vs_{reference} and rmse_vs_{reference} (percent of QLIKE and RMSE saved) for each naive
        forecast and the benchmark, dm_t and dm_p (Diebold-Mariano on QLIKE against the benchmark,
        two-sided; negative t favours the model), rmse_dm_t and rmse_dm_p (on squared error).
    """
    scored = common_span(record)
    references = [*product.naive, product.benchmark]
    table = (
        scored.group_by("model")
        .agg(
            pl.len().alias("rows"),
            pl.col("qlike").mean(),
            (1e4 * pl.col("sq_error").mean().sqrt()).alias("rmse_bp"),
            (1e4 * pl.col("sq_error").sqrt().mean()).alias("mae_bp"),
        )
        .sort("qlike")
    )
    columns = []
    for loss, mean, prefix in (("qlike", "qlike", ""), ("sq_error", "rmse_bp", "rmse_")):
        means = dict(table.select("model", mean).iter_rows())
        saved = {name: 100 * (1 - pl.col(mean) / means[name]) for name in references}
        columns += [share.alias(f"{prefix}vs_{name}") for name, share in saved.items()]
        bench = losses_of(scored, product.benchmark, loss)
        tests = [diebold_mariano(losses_of(scored, m, loss), bench) for m in table["model"]]
        columns.append(pl.Series(f"{prefix}dm_t", [test.statistic for test in tests]))
        columns.append(pl.Series(f"{prefix}dm_p", [test.p for test in tests]))
    return table.with_columns(columns)


def per_year(record: pl.DataFrame) -> pl.DataFrame:
    """Return the mean QLIKE per model (column) and calendar year (row) of the shared sessions."""
    years = common_span(record).with_columns(pl.col("date").dt.year().alias("year"))
    return years.pivot("model", index="year", values="qlike", aggregate_function="mean").sort(
        "year"
    )
