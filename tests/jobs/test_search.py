"""The search stays inside its years, goes on where it stopped and gives hopeless trials up."""

import subprocess
import sys
from datetime import date
from pathlib import Path

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


def moved_by_later_years(tmp_path) -> bool:
    late = pl.col("date") > module.UNTIL
    unknown = pl.col("known_at").dt.date() > module.UNTIL
    wild = LABELS.with_columns(rv_5d=pl.when(unknown).then(9.0).otherwise("rv_5d"))
    shaken = FEATURES.with_columns(lvix=pl.when(late).then(0.0).otherwise("lvix"))
    declared = [
        run(tmp_path, features=f, labels=y, budget=0.1).declared
        for f, y in ((FEATURES, LABELS), (shaken, wild))
    ]
    return declared[0] != declared[1]


def test_later_years_change_nothing(years, tmp_path):
    assert not moved_by_later_years(tmp_path)


def test_a_planted_search_that_sees_later_years_is_caught(years, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "upto", lambda design, _last: design)
    assert moved_by_later_years(tmp_path)


def test_planted_labels_of_the_last_week_known_only_after_it_are_caught(
    years, tmp_path, monkeypatch
):
    # The subtle one: rows end in time, but the labels of the last four reach beyond.
    last = np.datetime64(module.UNTIL)
    monkeypatch.setattr(module, "upto", lambda design, _last: design.rows(design.dates <= last))
    assert moved_by_later_years(tmp_path)


def test_a_search_stops_with_the_trial_under_way_when_its_time_is_over(years, tmp_path):
    assert run(tmp_path, budget=1e-3).trials == 1
    assert run(tmp_path, budget=1e-3).trials == 2


def test_hopeless_trials_are_given_up(years, tmp_path):
    found = run(tmp_path, budget=6.0)
    assert 0 < found.pruned < found.trials


KILLED = """
import sys
from datetime import date
sys.path.insert(0, {tests!r})
from riskcast.jobs import search as module
from tests.evaluation.synthetic_market import SMALL, built
module.SCORED_FROM, module.UNTIL = date(2003, 1, 1), date(2004, 6, 30)
product, _, features, labels = built(SMALL)
module.search(product, "ridge_duan", features, labels, storage={storage!r}, budget=120,
              progress=lambda *_: print("trial", flush=True))
"""


def test_a_killed_search_goes_on_where_it_stopped_and_draws_anew(years, tmp_path):
    import optuna

    storage = f"sqlite:///{tmp_path / 'search.db'}"
    code = KILLED.format(tests=str(Path(__file__).parents[2]), storage=storage)
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        told = [child.stdout.readline() for _ in range(3)]
    finally:
        child.kill()
        child.wait()
        child.stdout.close()
    assert told == ["trial\n"] * 3
    found = run(tmp_path, budget=1.0)
    (study,) = optuna.get_all_study_summaries(storage)
    assert study.n_trials == found.trials > 3
    trials = optuna.load_study(study_name=study.study_name, storage=storage).trials
    drawn = [trial.params["alpha"] for trial in trials if trial.params]
    assert len(drawn) == len(set(drawn))


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
