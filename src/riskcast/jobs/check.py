"""Stop the line where what was curated cannot be trusted, before anything is built on it."""

from __future__ import annotations

import polars as pl

from riskcast.core.errors import ContractBroken
from riskcast.core.window import Window
from riskcast.lake.measures import calendar_measures, macro_measures, market_measures
from riskcast.lake.rows import inside
from riskcast.lake.suites import Suite, audit, calendar_suite, macro_suite, market_suite
from riskcast.products import Product


def check(
    market: pl.DataFrame,
    macro: pl.DataFrame,
    sessions: pl.DataFrame,
    *,
    product: Product,
    asset: str,
    window: Window,
) -> None:
    """Judge the window's rows of the silver tables by their suites.

    Raises
    ------
    ContractBroken
        Naming table, rule and first row of what is broken; what else is follows.
    """
    required = required_symbols(product, asset)
    broken = [f for f in audit(suites(market, macro, sessions, required, window)) if not f.passed]
    if not broken:
        return
    worst, *others = broken
    detail = f"{worst.broken} of {worst.rows} rows, first {worst.first}"
    more = "".join(f"; also {f.suite}: {f.rule}: {f.broken} rows, {f.first}" for f in others)
    raise ContractBroken(worst.suite, worst.rule, detail + more)


def suites(
    market: pl.DataFrame,
    macro: pl.DataFrame,
    sessions: pl.DataFrame,
    required: frozenset[str],
    window: Window,
) -> list[tuple[Suite, pl.DataFrame]]:
    """Return the suites of the silver tables with the frames they judge, most urgent first."""
    return [
        (calendar_suite(), calendar_measures(market, sessions, required, window)),
        (market_suite(), market_measures(market.filter(inside(window)))),
        (macro_suite(), macro_measures(macro, window)),
    ]


def required_symbols(product: Product, asset: str) -> frozenset[str]:
    """Return the asset and every symbol that the served pool reads."""
    columns = {name for each in product.pool for name in product.candidate(each).columns}
    read = {symbol for name in columns for symbol in product.features.column(name).symbols}
    return frozenset({asset, *read})
