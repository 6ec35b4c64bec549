"""Pictures of mails: PNG, readable on white and on black, alone without its text."""

from __future__ import annotations

import io
from datetime import timedelta

import numpy as np
import polars as pl
from matplotlib.dates import AutoDateLocator
from matplotlib.figure import Figure

INK, BAND, MARK = "#1f2937", "#93c5fd", "#b91c1c"
SIZE = (5.6, 2.6)  # inches at DPI: 600 pixels wide on a dense screen
DPI = 150


def forecast_picture(rows: pl.DataFrame) -> bytes:
    """Draw forecasts with 80% intervals and what came.

    Parameters
    ----------
    rows : DataFrame
        Columns date, rv_5d_hat, lo_80, hi_80, rv_5d (null where not yet known), ascending.
    """
    figure, axes = _canvas("Volatility of five sessions, percent")
    days = rows["date"].to_list()
    low, middle, high, came = (
        100 * rows[name].cast(pl.Float64).fill_null(np.nan).to_numpy()
        for name in ("lo_80", "rv_5d_hat", "hi_80", "rv_5d")
    )
    axes.fill_between(days, low, high, color=BAND, alpha=0.6, label="80% interval", linewidth=0)
    axes.plot(days, middle, color=INK, linewidth=1.2, label="forecast")
    axes.plot(days, came, "o", color=MARK, markersize=2.5, label="realised")
    axes.xaxis.set_major_locator(AutoDateLocator(minticks=3, maxticks=6))
    if len(days) == 1:  # of which a line and a band show nothing
        axes.vlines(days, low, high, color=BAND, linewidth=6)
        axes.plot(days, middle, "o", color=INK, markersize=4)
        axes.set_xlim(days[0] - timedelta(days=5), days[0] + timedelta(days=5))
        axes.set_xticks(days)
    axes.legend(fontsize=7, frameon=False, ncol=3)
    figure.autofmt_xdate(rotation=0, ha="center")
    return _png(figure)


def drift_picture(names: list[str], shares: list[float]) -> bytes:
    """Draw how far each series is, as a share of its own bound; the strangest on top."""
    figure, axes = _canvas("Strangest statistic over the bound set by its own past")
    order = np.argsort(shares)[-10:]
    values = [shares[i] for i in order]
    colours = [MARK if value > 1 else BAND for value in values]
    axes.barh([names[i] for i in order], values, color=colours)
    axes.axvline(1.0, color=INK, linewidth=1)
    axes.tick_params(labelsize=7)
    return _png(figure)


def _canvas(title: str):  # type: ignore[no-untyped-def]
    figure = Figure(figsize=SIZE, dpi=DPI, layout="constrained", facecolor="white")
    axes = figure.add_subplot()
    axes.set_title(title, fontsize=8, loc="left", color=INK)
    axes.tick_params(labelsize=7)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _png(figure: Figure) -> bytes:
    out = io.BytesIO()
    figure.savefig(out, format="png")
    return out.getvalue()
