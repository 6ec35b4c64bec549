"""Expanding-window evaluation: every forecast as it would have been made on its day.

At the close of every `refit_every`-th session each candidate is fitted on the rows whose label is
known by then; the fit forecasts that session and those up to the next refit. Nothing here scores.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl
from threadpoolctl import threadpool_limits

from riskcast.core.clock import seconds
from riskcast.core.errors import LookAhead, NotEnoughHistory
from riskcast.core.load import load
from riskcast.evaluation import pools
from riskcast.evaluation.design import check_labels, first_fit
from riskcast.models import ENGINES
from riskcast.models.base import H_BOUNDS, Dates, Design, Fitted, Floats
from riskcast.products import Candidate, Product

SEED = 20040102
# A benchmark of a few coefficients forecasts from here on, for hybrids to start from: they train
# on rows with such a forecast only, and must be ready when everything else is.
OFFSET_MIN_TRAIN = 250

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Path:
    """Forecasts of one candidate along time.

    Attributes
    ----------
    log_h : ndarray, shape (n,)
        ln h of each row of the design; NaN before the first fit.
    fit_end : ndarray of datetime64[D], shape (n,)
        Newest session that the fit behind each forecast saw; NaT where there is none.
    """

    log_h: Floats
    fit_end: Dates

    @classmethod
    def never(cls, rows: int) -> Path:
        """Return a path without a forecast."""
        return cls(np.full(rows, np.nan), np.full(rows, np.datetime64("NaT", "D")))

    def check(self, dates: Dates) -> None:
        """Raise LookAhead if a forecast rests on a session after its own."""
        late = np.flatnonzero(self.fit_end > dates)
        if len(late):
            i = late[0]
            raise LookAhead(
                f"{len(late)} forecasts rest on later data, first {dates[i]} on a fit that saw "
                f"{self.fit_end[i]}; training rows and offsets must be walk-forward"
            )


@dataclass(frozen=True, slots=True)
class Walk:
    """Outcome of a walk-forward.

    Attributes
    ----------
    record : DataFrame
        Columns model, date, known, fit_end, variance_hat, variance: one row per model (candidates,
        naive forecasts, pool) and session with a forecast and a known label, by model and date.
    seconds : mapping
        What the fits and forecasts of each candidate took, added up.
    """

    record: pl.DataFrame
    seconds: dict[str, float]


def walk_forward(
    product: Product,
    design: Design,
    *,
    first_forecast: date | None = None,
    cores: int = 1,
    seed: int = SEED,
    progress: Progress | None = None,
) -> Walk:
    """Evaluate candidates, pool and naive forecasts of an effective product.

    Parameters
    ----------
    design : Design
        With the columns of `needed_columns(product)`.
    first_forecast : date, optional
        Drops forecasts before it; those that remain are the same as without.
    cores : int
        Fits run side by side; results do not depend on it.
    progress : callable, optional
        Called with candidate, fits done and fits in all.

    Raises
    ------
    NotEnoughHistory
        If the first fit lies beyond the history, or nothing is left of the pool.
    LookAhead
        If a fit saw a label not known at its session, or an offset was not walk-forward.
    """
    names = tuple(candidate.name for candidate in product.candidates)
    paths, took = candidate_paths(product, design, names, cores=cores, seed=seed, progress=progress)
    return Walk(record_of(product, design, paths, first_forecast=first_forecast), took)


def candidate_paths(
    product: Product,
    design: Design,
    names: tuple[str, ...],
    *,
    cores: int = 1,
    seed: int = SEED,
    progress: Progress | None = None,
) -> tuple[dict[str, Path], dict[str, float]]:
    """Return the forecasts along time of the candidates named, and the seconds each took.

    What a hybrid starts from is walked with it. So candidates asked for one by one have the same
    forecasts as all at once.

    Raises
    ------
    NotEnoughHistory, LookAhead
        As `walk_forward`.
    """
    if not product.pool:
        raise NotEnoughHistory(f"{product.name}: no member of the pool has usable columns")
    check_labels(design, product.horizon)
    paths: dict[str, Path] = {}
    took: dict[str, float] = {}
    wanted = {*names, *(product.candidate(name).offset for name in names)}
    chosen = [candidate for candidate in product.candidates if candidate.name in wanted]
    # Small matrices gain nothing from BLAS threads, which would fight over the same cores.
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(cores) as workers:
        for candidate in sorted(chosen, key=lambda c: bool(c.offset)):
            path, took[candidate.name] = candidate_path(
                candidate,
                design,
                folds_of(product, design, candidate.name),
                offset=paths.get(candidate.offset),
                workers=workers,
                seed=seed,
                progress=progress,
            )
            paths[candidate.name] = path
    return {name: paths[name] for name in names}, took


def schedule(product: Product, design: Design, *, early: bool = False) -> list[slice]:
    """Return the rows that each fit forecasts; a fit is made at the close of its first row.

    With `early` fits begin once OFFSET_MIN_TRAIN labels are known, on the same grid.
    """
    first, every = first_fit(product, design), product.scheme.refit_every
    if early:
        known = np.sort(design.known[~np.isnat(design.known)])
        enough = int(np.searchsorted(design.dates, known[min(OFFSET_MIN_TRAIN, len(known)) - 1]))
        first -= max(first - enough, 0) // every * every
    rows = len(design.dates)
    return [slice(i, min(i + every, rows)) for i in range(first, rows, every)]


def folds_of(product: Product, design: Design, name: str) -> list[slice]:
    """Return the `schedule` of a candidate; one that hybrids start from begins early."""
    early = any(candidate.offset == name for candidate in product.candidates)
    return schedule(product, design, early=early)


def candidate_path(
    candidate: Candidate,
    design: Design,
    folds: list[slice],
    *,
    offset: Path | None,
    workers: ThreadPoolExecutor,
    seed: int = SEED,
    progress: Progress | None = None,
) -> tuple[Path, float]:
    """Return the candidate's forecasts along time, and the seconds its fits took."""
    own = design.take(candidate.columns)
    path = Path.never(len(own.dates))

    def run(rows: slice) -> tuple[Floats, date, float]:
        began = seconds()
        fitted = fit_candidate(candidate, own, own.dates[rows.start], offset=offset, seed=seed)
        start = None if offset is None else offset.log_h[rows]
        first = max(rows.start - candidate.lookback, 0)
        log_h = fitted.log_variance(own.x[first : rows.stop], start)[rows.start - first :]
        return log_h, fitted.fit_end, seconds() - began

    jobs: list[Future[tuple[Floats, date, float]]] = [workers.submit(run, rows) for rows in folds]
    took = 0.0
    try:
        for done, (rows, job) in enumerate(zip(folds, jobs, strict=True), start=1):
            path.log_h[rows], path.fit_end[rows], spent = job.result()
            took += spent
            if progress is not None:
                progress(candidate.name, done, len(folds))
    finally:
        for job in jobs:
            job.cancel()
    path.check(own.dates)
    return path, took


def fit_candidate(
    candidate: Candidate,
    design: Design,
    session: np.datetime64,
    *,
    offset: Path | None = None,
    seed: int = SEED,
) -> Fitted:
    """Fit one candidate as at the close of `session`.

    A hybrid trains on the rows for which `offset` had a forecast at the time.

    Raises
    ------
    LookAhead
        If a training label, an offset or the fit itself knows more than `session` did.
    """
    engine = load(ENGINES[candidate.engine])(columns=candidate.columns, **candidate.params)
    mask = design.known <= session
    start: Floats | None = None
    if offset is not None:
        offset.check(design.dates)
        mask &= np.isfinite(offset.log_h)
        start = offset.log_h[mask]
    fitted: Fitted = engine.fit(design.rows(mask), seed=seed, offset=start)
    if np.datetime64(fitted.fit_end) > session:
        raise LookAhead(
            f"{candidate.name} fitted at {session} saw labels known at {fitted.fit_end} only"
        )
    return fitted


def pool_paths(product: Product, design: Design, paths: dict[str, Path]) -> dict[str, Path]:
    """Return both pools of ln h over the product's members; fit_end is the latest member's."""
    members = [paths[name] for name in product.pool]
    log_h = np.column_stack([member.log_h for member in members])
    weights = pools.qlike_weights(log_h, design.y, design.dates, design.known)
    fit_end = np.max([member.fit_end for member in members], axis=0)
    return {
        pools.EQUAL: Path(log_h.mean(axis=1), fit_end),
        pools.QLIKE_WEIGHTED: Path((weights * log_h).sum(axis=1), fit_end),
    }


def record_of(
    product: Product,
    design: Design,
    paths: dict[str, Path],
    *,
    first_forecast: date | None = None,
) -> pl.DataFrame:
    """Return the record of a `Walk` from the forecasts of all candidates of the product."""
    start = first_fit(product, design)
    if first_forecast is not None:
        start = max(start, int(np.searchsorted(design.dates, np.datetime64(first_forecast))))
    never = np.full(len(design.dates), np.datetime64("NaT", "D"))
    every = {**paths, **pool_paths(product, design, paths)}
    for name, column in product.naive.items():
        log_h = np.log(np.clip(design.x[:, design.columns.index(column)], *H_BOUNDS))
        every[name] = Path(log_h, never)
    row = np.arange(len(design.dates))
    low, high = H_BOUNDS
    frames = []
    for name, path in every.items():
        keep = (row >= start) & ~np.isnan(path.log_h) & ~np.isnan(design.y)
        frame = pl.DataFrame(
            {
                "date": design.dates[keep],
                "known": design.known[keep],
                "fit_end": path.fit_end[keep],
                "variance_hat": np.clip(np.exp(path.log_h[keep]), low, high),
                "variance": design.y[keep],
            }
        )
        frames.append(frame.select(pl.lit(name).alias("model"), pl.all()))
    return pl.concat(frames).sort("model", "date")
