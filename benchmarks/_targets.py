"""The figures the daily product is held to on SPY 2004-2022: what is owed, what is hoped for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def reached(result: dict[str, Any]) -> list[dict[str, Any]]:
    """Return each figure with goal, floor and whether the floor is met.

    `result` is the benchmark's; where another benchmark stands in for log-HAR-VIX, the figures
    are against that one.
    """
    benchmark = result["benchmark"]
    pool = result["models"][result["pool"]]
    hv20 = result["models"]["hv20"]["per_year"]
    years = [figures["qlike"] < hv20[y]["qlike"] for y, figures in pool["per_year"].items()]
    rows = [
        _least("QLIKE vs HV20, %", pool["vs_hv20"], 40, 37),
        _least(f"QLIKE vs {benchmark}, %", pool[f"vs_{benchmark}"], 4.5, 3.5),
        _most(f"QLIKE vs {benchmark}, DM p", pool["dm_p"], 0.01, 0.01),
        _least("RMSE vs HV20, %", pool["rmse_vs_hv20"], 22, 19),
        _least(f"RMSE vs {benchmark}, %", pool[f"rmse_vs_{benchmark}"], 4, 3),
        _most(f"RMSE vs {benchmark}, DM p", pool["rmse_dm_p"], 0.01, 0.01),
        _least("years better than HV20", sum(years), len(years), len(years)),
        _least("Mincer-Zarnowitz joint p", result["mincer_zarnowitz"]["p"], 0.05, 0.05),
    ]
    for definition, brier, auc in (
        ("terciles", (0.465, 0.475), (0.81, 0.80)),
        ("50-85", (0.378, 0.388), (0.85, 0.84)),
    ):
        found = result["regimes"][definition]
        rows.append(_most(f"Brier {definition}", found["brier"], *brier))
        rows.append(_least(f"macro AUC {definition}", found["auc"], *auc))
        rows.append(_most(f"ECE {definition}", found["ece"], 0.015, 0.025))
    for level, goal, floor in ((80, (79, 81), (78, 83)), (95, (94.5, 95.5), (93.5, 96.5))):
        share = 100 * result["intervals"][f"coverage_{level}"]
        inside = floor[0] <= share <= floor[1]
        said = (f"{low:g}-{high:g}" for low, high in (goal, floor))
        rows.append(_row(f"coverage of {level}%, %", share, *said, inside))
    return rows


def _row(figure: str, value: float, goal: object, floor: object, met: bool) -> dict[str, Any]:
    return {
        "figure": figure,
        "reached": float(f"{value:.4g}"),
        "goal": goal,
        "floor": floor,
        "met": bool(met),
    }


def _bound(holds: Callable[[float, float], bool]):
    def row(figure: str, value: float, goal: float, floor: float) -> dict[str, Any]:
        return _row(figure, value, goal, floor, holds(value, floor))

    return row


_least, _most = _bound(lambda a, b: a >= b), _bound(lambda a, b: a <= b)
