"""What a table of mean losses does not say: bias, ties, single years, how much was foreseeable."""

from __future__ import annotations

import numpy as np
import polars as pl
from scipy.stats import chi2

from riskcast.core.errors import NotEnoughHistory
from riskcast.evaluation.diebold_mariano import LAG, diebold_mariano
from riskcast.evaluation.scores import common_span, losses_of
from riskcast.models.base import Floats
from riskcast.products import Candidate, Product

CRISES = (2008, 2020, 2022)
SIZE = 0.10  # of the model confidence set
REPLICATIONS = 500
BLOCK = 20  # sessions; four times the overlap of outcomes
SEED = 20040102


def mincer_zarnowitz(variance: Floats, variance_hat: Floats) -> dict[str, float]:
    """Test that forecasts are neither biased nor too bold: y = a + b h with a = 0 and b = 1.

    Mincer and Zarnowitz (1969) on variances, weighted by 1/h because errors grow with the level
    (Patton and Sheppard 2009); Wald test with the Newey-West covariance, lag LAG. On the scale of
    volatility even a perfect variance forecast fails it, since a mean of roots is below the root
    of the mean.

    Returns
    -------
    dict
        intercept (of y), slope, p (joint, two degrees of freedom).

    Raises
    ------
    NotEnoughHistory
        If there are not more than twice LAG forecasts.
    """
    n = len(variance)
    if n <= 2 * LAG:
        raise NotEnoughHistory(f"{n} forecasts; a test with lag {LAG} needs more than {2 * LAG}")
    x = np.column_stack([1 / variance_hat, np.ones(n)])
    unit = np.array([variance_hat.mean(), 1.0])  # equal sizes, so that nothing cancels
    scaled = x * unit
    beta = np.linalg.lstsq(scaled, variance / variance_hat, rcond=None)[0]
    score = scaled * (variance / variance_hat - scaled @ beta)[:, None]
    meat = score.T @ score
    for k in range(1, LAG + 1):
        gamma = score[k:].T @ score[:-k]
        meat += (1 - k / (LAG + 1)) * (gamma + gamma.T)
    bread = np.linalg.inv(scaled.T @ scaled)
    off = beta - np.array([0.0, 1.0])
    wald = float(off @ np.linalg.solve(bread @ meat @ bread, off))
    intercept, slope = (beta * unit).tolist()
    return {"intercept": intercept, "slope": slope, "p": float(chi2.sf(wald, 2))}


def confidence_set(record: pl.DataFrame, loss: str = "qlike") -> dict[str, float]:
    """Return each model's p-value in the model confidence set; those above SIZE are in it.

    Hansen, Lunde and Nason (2011), range statistic, stationary bootstrap by `arch`.
    """
    # Imported here: it takes a second, and only reports ask.
    from arch.bootstrap import MCS

    scored = common_span(record)
    models = sorted(scored["model"].unique())
    losses = np.column_stack([losses_of(scored, model, loss) for model in models])
    found = MCS(losses, size=SIZE, reps=REPLICATIONS, block_size=BLOCK, seed=SEED)
    found.compute()
    return {models[int(i)]: float(p) for i, p in found.pvalues["Pvalue"].items()}


def reducible_share(qlike: float, reference: float, noise_floor: float) -> float:
    """Return the share of what the reference could have avoided that was avoided, in percent.

    The floor is the loss of a perfect forecast: five squared returns are a noisy outcome.
    """
    return 100 * (reference - qlike) / (reference - noise_floor)


def cumulative_difference(record: pl.DataFrame, model: str, reference: str) -> pl.DataFrame:
    """Return date and the running sum of the reference's QLIKE minus the model's: up is better."""
    scored = common_span(record.filter(pl.col("model").is_in([model, reference])))
    dates = scored.filter(pl.col("model") == model).sort("date")["date"]
    gained = losses_of(scored, reference) - losses_of(scored, model)
    return pl.DataFrame({"date": dates, "gained": np.cumsum(gained)})


def ablation(record: pl.DataFrame, product: Product) -> pl.DataFrame:
    """Compare candidates that differ from another by added columns alone.

    Parameters
    ----------
    product : Product
        With its challengers; a challenger is compared with the first candidate of its engine,
        parameters and offset whose columns are a part of its own.

    Returns
    -------
    DataFrame
        Columns model, without, added (names), change (percent of QLIKE, negative if the columns
        help), dm_t, dm_p (two-sided).
    """
    scored = common_span(record)
    rows = []
    for model in product.candidates:
        base = _without(model, product)
        if base is None or not {model.name, base.name} <= set(scored["model"]):
            continue
        loss, other = losses_of(scored, model.name), losses_of(scored, base.name)
        test = diebold_mariano(loss, other)
        rows.append(
            {
                "model": model.name,
                "without": base.name,
                "added": [c for c in model.columns if c not in base.columns],
                "change": float(100 * (loss.mean() / other.mean() - 1)),
                "dm_t": test.statistic,
                "dm_p": test.p,
            }
        )
    return pl.DataFrame(rows)


def _without(model: Candidate, product: Product) -> Candidate | None:
    same = (
        other
        for other in product.candidates
        if (other.engine, dict(other.params), other.offset)
        == (model.engine, dict(model.params), model.offset)
        and set(other.columns) < set(model.columns)
        and model.partial
    )
    return next(same, None)
