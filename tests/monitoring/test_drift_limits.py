"""Drift alarms rarely without cause and reliably with one, over full counts (RELIABILITY 18)."""

import importlib.util
import os
import sys
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from riskcast.evaluation.design import build_design, effective, needed_columns
from riskcast.monitoring.limits import bounds
from riskcast.products import DAILY_RISK

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
DATA = os.environ.get("RISKCAST_BENCH_DATA", "")
DRAWS = 500  # years of 52 weeks each
WORLDS = 200  # planted per kind of fault
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def bench():
    """The benchmark as a module, beside what it imports."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        spec = importlib.util.spec_from_file_location("drift_benchmark", BENCHMARKS / "drift.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        yield module
        sys.modules.pop("_common", None)


def history(bench, files):
    source, asset = bench.open_files(files)
    features, labels = bench.gold_tables(source, asset, date.fromisoformat(source.newest()))
    design = build_design(features, labels, needed_columns(DAILY_RISK))
    product = effective(DAILY_RISK, design)
    names = tuple(dict.fromkeys(c for m in product.pool for c in product.candidate(m).columns))
    return design.take(names).x


@pytest.fixture(scope="module")
def sample(bench):
    return history(bench, None)


def hold(bench, x):
    rng = np.random.default_rng(20)
    calm = bench.false_alarms(x, DRAWS, rng)
    assert calm["draws"] == DRAWS
    assert calm["false_alarms_per_week_pct"] <= 1.0
    assert calm["fixed_psi_alarms_per_week_pct"] > 20.0, "the fixed rule is no alternative"
    found = bench.power(x, WORLDS, rng)
    assert found["power_pct"] >= 90.0
    faults = {kind: found[f"power_{kind}_pct"] for kind in bench.FAULTS}
    assert min(faults.values()) >= 99.0, faults


def test_on_the_sample_false_alarms_and_power_keep_their_limits(bench, sample):
    hold(bench, sample)


@pytest.mark.bench_data
@pytest.mark.skipif(not DATA, reason="RISKCAST_BENCH_DATA names no folder of real data")
def test_on_real_data_false_alarms_and_power_keep_their_limits(bench):
    hold(bench, history(bench, Path(DATA)))


def test_the_count_sees_bounds_that_are_too_tight(bench, sample, monkeypatch):
    monkeypatch.setattr(bench, "bounds", lambda value: 0.7 * bounds(value))
    calm = bench.false_alarms(sample, 50, np.random.default_rng(20))
    assert calm["false_alarms_per_week_pct"] > 1.0
