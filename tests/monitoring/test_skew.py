"""Stored features that are not what the bars give are found; a corrected bar is no alarm."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from riskcast.monitoring.skew import skew

N = 400
NAMES = ("noise", "mean", "skewness")
DAYS = [date(2020, 1, 1) + timedelta(days=i) for i in range(N)]
AT = [datetime(d.year, d.month, d.day, 21, tzinfo=UTC) for d in DAYS]


def frame():
    noise = np.random.default_rng(1).normal(size=N)
    mean = np.convolve(noise, np.ones(20) / 20)[:N]
    columns = {"noise": noise, "mean": mean, "skewness": np.sin(mean)}
    return pl.DataFrame({"date": DAYS, "known_at": AT} | columns)


def verdicts(stored, at=AT[-1]):
    found = skew(stored, frame().drop("known_at"), NAMES, [at])
    return {f.subject: f.verdict for f in found}


def planted(fault, name):
    values = frame()[name].to_numpy().copy()
    after = values[-20:].copy()
    values[-20:] = {
        "flip": -after,
        "unit": after / 100,
        "lag": values[-21:-1],
        "stuck": np.full(20, after[0]),
        "missing": np.where(np.arange(20) % 5 == 0, np.nan, after),
    }[fault]
    return frame().with_columns(pl.Series(name, values, nan_to_null=True))


def test_what_the_bars_give_is_fine():
    assert verdicts(frame()) == {"all": "ok"}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("fault", ["flip", "unit", "lag", "stuck", "missing"])
def test_a_fault_in_a_stored_column_is_found_whatever_the_column(fault, name):
    assert verdicts(planted(fault, name)) == {name: "alarm", "all": "alarm"}


def test_one_bar_corrected_afterwards_only_warns():
    values = frame()["noise"].to_numpy().copy()
    values[-4] += 1
    stored = frame().with_columns(pl.Series("noise", values))
    assert verdicts(stored) == {"noise": "warn", "all": "warn"}


def test_a_fault_of_tomorrow_is_not_seen_today():
    stored = planted("flip", "noise")
    assert verdicts(stored, at=AT[-21]) == {"all": "ok"}
    assert verdicts(stored)["all"] == "alarm"  # the check sees it once it is there


def test_sessions_that_only_one_side_has_are_left_out():
    assert verdicts(frame().head(-5), at=AT[-6]) == {"all": "ok"}
    assert verdicts(frame().head(-5)) == {}
