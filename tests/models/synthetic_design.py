"""A small design with a known truth."""

from __future__ import annotations

import numpy as np

from riskcast.models.base import FLOOR, Design
from riskcast.models.lightgbm_hybrid import LightgbmHybrid

COLUMNS = ("tv1", "tv5", "tv22", "lvix", "r1neg")
HYBRID = LightgbmHybrid(
    COLUMNS,
    rounds=12,
    learning_rate=0.1,
    num_leaves=7,
    max_depth=3,
    min_data_in_leaf=40,
    bagging_fraction=0.6,
    feature_fraction=0.7,
)


def design(n: int = 900, *, seed: int = 0) -> Design:
    """Features that explain ln y by half, with an error of chi-squared form."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, len(COLUMNS))) * [1.0, 2.0, 0.5, 1.0, 3.0] + [-9, -9, -9, -9, 1]
    log_h = -4 + 0.2 * x[:, 0] + 0.1 * x[:, 1] + 0.2 * x[:, 3] + 0.05 * np.abs(x[:, 4])
    y = np.maximum(np.exp(log_h) * rng.chisquare(5, size=n) / 5, FLOOR)
    sessions = np.busday_offset("2001-01-02", np.arange(n + 5), roll="forward")
    return Design(COLUMNS, x, y, sessions[:n], sessions[5:])


def offset(rows: Design) -> np.ndarray:
    """A forecast another model could have made."""
    return -4 + 0.2 * rows.x[:, 0] + 0.1 * rows.x[:, 1] + 0.2 * rows.x[:, 3]
