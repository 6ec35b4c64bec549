"""A served model small enough for tests of registry and serving."""

from datetime import date

import numpy as np

from riskcast.models.calibration import Calibration
from riskcast.models.linear import Linear
from riskcast.models.pool import Member
from riskcast.models.served import ServedModel
from riskcast.models.standardise import Standardiser

COLUMNS = ("tv1", "tv5", "tv22", "lvix", "dvix1", "spy_vol_10d")
BETA = (0.3, 0.4, 0.2, 0.5, -0.1, 0.25)


def small_model(
    *,
    shift: float = 0.0,
    fit_end: date = date(2018, 6, 29),
    product: str = "daily_risk",
    columns: tuple[str, ...] = COLUMNS,
) -> ServedModel:
    """A pool of two linear members; `shift` moves its ln h."""
    p = len(columns)
    standardiser = Standardiser(np.full(p, -9.0), np.full(p, 0.5), 4.0)
    beta = np.resize(BETA, p)
    members = tuple(
        Member(name, "log_ridge", 0.5, "", Linear(columns, fit_end, standardiser, beta, base))
        for name, base in (("one", -7.5 + shift), ("two", -7.4 + shift))
    )
    ratios = np.sort(np.random.default_rng(1).normal(0.0, 0.8, 400))
    return ServedModel(
        product,
        "abcdef123456",
        columns,
        ("rv5_q33", "rv5_q67"),
        members,
        Calibration(ratios),
        fit_end,
    )
