"""Pictures of mails, looked at by their pixels."""

import io
from datetime import date, timedelta

import matplotlib.image
import numpy as np
import polars as pl
import pytest

from riskcast.monitoring.plots import forecast_picture


@pytest.mark.parametrize("count", [1, 2, 60])
def test_however_few_forecasts_are_seen(count):
    days = [date(2018, 12, 31) - timedelta(days=i) for i in reversed(range(count))]
    ends = {"rv_5d_hat": 0.04, "lo_80": 0.018, "hi_80": 0.06, "rv_5d": None}
    rows = pl.DataFrame({"date": days} | {name: [end] * count for name, end in ends.items()})
    picture = matplotlib.image.imread(io.BytesIO(forecast_picture(rows)))[..., :3]
    blue = (picture[..., 2] > 0.9) & (picture[..., 0] < 0.8)
    assert blue[: len(picture) // 2].sum() > 500  # of the band, not of the legend
    assert np.ptp(np.flatnonzero(blue.any(axis=1))) > len(picture) / 2
