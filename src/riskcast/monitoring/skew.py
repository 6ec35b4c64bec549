"""Are stored features what the bars give? What a model was fitted to must be what it is fed.

Statistics of a series find most faults by its own past; a mean that lags a session or a moment of
the other sign is within it. Built again from the bars, such a column differs at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import numpy as np
import polars as pl
from numpy.typing import NDArray

from riskcast.models.base import Floats
from riskcast.monitoring.findings import ALARM, OK, WARN, Finding

MONTH = 20
GAP = 0.05  # of a column's deviation: a vendor that restates dividends moves returns by less
FEW = 2  # sessions of the month; a bar corrected afterwards leaves as many


def differing(stored: Floats, rebuilt: Floats) -> NDArray[np.bool_]:
    """Return which values are not what they should be, same shape.

    Parameters
    ----------
    stored, rebuilt : ndarray, shape (n, p)
        NaN where missing; a value that is missing on one side only differs.
    """
    scale = np.nanstd(np.where(np.isnan(rebuilt).all(axis=0), 0.0, rebuilt), axis=0)
    with np.errstate(invalid="ignore"):
        apart = np.abs(stored - rebuilt) > GAP * scale
    found: NDArray[np.bool_] = apart | (np.isnan(stored) != np.isnan(rebuilt))
    return found


def skew(
    stored: pl.DataFrame, rebuilt: pl.DataFrame, names: tuple[str, ...], due: list[datetime]
) -> Iterator[Finding]:
    """Yield the columns that differ at each due session, and one verdict on all.

    Parameters
    ----------
    stored, rebuilt : DataFrame
        Columns date, known_at and those named; `stored` ascending by date. Sessions that only
        one of them has are left out.
    """
    order = stored.select("date", "known_at").join(rebuilt, on="date", maintain_order="left")
    mine = stored.join(order.select("date"), on="date", how="semi", maintain_order="left")
    wrong = differing(_values(mine, names), _values(order, names))
    place = {at: i for i, at in enumerate(mine["known_at"].to_list())}
    for at in due:
        if at not in place:
            continue
        month = wrong[max(place[at] + 1 - MONTH, 0) : place[at] + 1]
        counts = month.sum(axis=0)
        for j in np.flatnonzero(counts):
            count = int(counts[j])
            verdict = ALARM if count > FEW else WARN
            why = f"{count} of {len(month)} stored values are not what the bars give"
            yield Finding("skew", names[j], at, float(count), float(FEW), verdict, why)
        most = int(counts.max(initial=0))
        verdict = ALARM if most > FEW else WARN if most else OK
        broken = int((counts > 0).sum())
        why = f"{broken} of {len(names)} columns differ from what the bars give"
        yield Finding("skew", "all", at, float(most), float(FEW), verdict, why)


def _values(rows: pl.DataFrame, names: tuple[str, ...]) -> Floats:
    return rows.select(pl.col(names).cast(pl.Float64).fill_null(np.nan)).to_numpy()
