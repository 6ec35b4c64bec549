"""The search stays inside its years, goes on where it stopped and gives hopeless trials up."""

import sys
from datetime import date

import numpy as np
import polars as pl
import pytest
from tests.evaluation.synthetic_market import SMALL, built

from riskcast.core.errors import DeclarationError, NotEnoughHistory, SettingsError
from riskcast.jobs import search as module
from riskcast.jobs.search import search, upto

PRODUCT, DESIGN, FEATURES, LABELS = built(SMALL)


def test_without_optuna_the_missing_extra_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(SettingsError, match=r"riskcast\[lab\]"):
        search(PRODUCT, "ridge_duan", FEATURES, LABELS, storage="sqlite://", budget=1)


def test_nothing_later_than_the_last_day_is_left_in_the_design():
    last = date(2004, 6, 30)
    rows = upto(DESIGN, last)
    assert rows.dates[-1] <= np.datetime64(last)
    assert (rows.known[~np.isnat(rows.known)] <= np.datetime64(last)).all()
    assert np.isnan(rows.y[-4:]).all()
    assert (np.isnan(rows.y) == np.isnat(rows.known)).all()


@pytest.fixture
def years(monkeypatch):
    pytest.importorskip("optuna", reason="Optuna, of the extra lab, is not installed")
    monkeypatch.setattr(module, "SCORED_FROM", date(2003, 1, 1))
    monkeypatch.setattr(module, "UNTIL", date(2004, 6, 30))


def run(tmp_path, name="ridge_duan", features=FEATURES, labels=LABELS, **how):
    storage = f"sqlite:///{tmp_path / 'search.db'}"
    return search(PRODUCT, name, features, labels, storage=storage, **{"budget": 3.0, **how})


def test_a_search_finds_parameters_no_worse_than_most_and_goes_on(years, tmp_path):
    first = run(tmp_path)
    assert set(first.params) == {"alpha", "range_weight"}
    assert first.qlike <= 1.02 * first.declared
    second = run(tmp_path, budget=1.0)
    assert second.trials > first.trials
    assert second.qlike <= first.qlike


def test_later_years_change_nothing(years, tmp_path):
    late = pl.col("date") > module.UNTIL
    wild = LABELS.with_columns(rv_5d=pl.when(late).then(9.0).otherwise("rv_5d"))
    shaken = FEATURES.with_columns(lvix=pl.when(late).then(0.0).otherwise("lvix"))
    declared = [
        run(tmp_path, features=f, labels=y, budget=0.1).declared
        for f, y in ((FEATURES, LABELS), (shaken, wild))
    ]
    assert declared[0] == declared[1]


def test_a_hybrid_is_searched_from_its_offset(years, tmp_path):
    found = run(tmp_path, "lightgbm_hybrid", budget=0.1)
    assert found.trials >= 1
    assert {"rounds", "num_leaves"} <= set(found.params)


def test_what_cannot_be_searched_is_refused(years, tmp_path):
    with pytest.raises(DeclarationError, match="ridge_duan"):
        run(tmp_path, "log_har_vix")


def test_tables_without_the_years_for_tuning_are_refused(years, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SCORED_FROM", date(2030, 1, 1))
    with pytest.raises(NotEnoughHistory, match="2030"):
        run(tmp_path)
