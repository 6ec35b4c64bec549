"""Floors of skill on real data: what the product promises, below what it has reached."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "skill.py"
DATA = os.environ.get("RISKCAST_BENCH_DATA", "")


def run(*options: str) -> dict:
    command = [sys.executable, str(SCRIPT), "--json", *options]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=900)
    return json.loads(said.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.bench_data
@pytest.mark.skipif(not DATA, reason="RISKCAST_BENCH_DATA names no folder of real data")
def test_on_spy_2004_to_2022_the_pool_reaches_its_floors():
    result = run("--files", DATA, "--start", "2004-01-01", "--end", "2022-12-31")
    pool = result["models"][result["pool"]]
    assert pool["rows"] > 4700
    missed = [row for row in result["targets"] if not row["met"]]
    assert not missed
    assert result["gate"]["verdict"] == "promote"
    years = pool["per_year"]
    assert all(figures["vs_hv20"] > 0 for figures in years.values())
    assert result["seconds"] < 1200
    # No block of columns that is left out would have helped significantly.
    assert len(result["ablation"]) == 5
    assert not [row for row in result["ablation"] if row["change"] < 0 and row["dm_p"] < 0.05]


@pytest.mark.slow
def test_on_the_sample_the_pool_beats_the_fallback_benchmark():
    result = run("--members")
    pool = result["models"][result["pool"]]
    assert result["benchmark"] == "log_har"
    assert pool["vs_hv20"] >= 25
    assert pool["vs_log_har"] >= 3
    assert pool["dm_p"] < 0.01


@pytest.mark.slow
def test_on_a_random_walk_there_is_no_skill_and_no_promotion():
    result = run("--members", "--random-walk")
    pool = result["models"][result["pool"]]
    assert pool["vs_mean_var"] <= 0
    assert pool["vs_log_har"] <= 0.5
    assert result["gate"]["verdict"] == "refuse"
