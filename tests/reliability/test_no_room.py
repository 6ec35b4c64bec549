"""A disk that is full or fails in a write: a named error, and the old version still reads."""

from __future__ import annotations

import shutil

import pytest
from test_killed_runs import check_readable, content, copy, published

from riskcast.core.settings import Settings
from riskcast.core.window import Window
from riskcast.pipelines import MARKET_DAILY
from riskcast.runner import Ports, run_pipeline, run_step

DAY = "2000-12-18"
WHERE = {
    "ingest_sessions": "[lake] sessions could not be written",
    "ingest_market": "[lake] raw.market could not be written",
    "ingest_macro": "[lake] raw.macro could not be written",
    "curate_market": "[lake] curated.market_daily could not be written",
    "curate_macro": "[lake] curated.macro_release_aligned could not be written",
    "features": "[lake] features_daily could not be written",
    "labels": "[lake] labels_daily could not be written",
    "publish": "[lake] curated.market_daily could not be published",
    "materialise": "[stack] online store:",
}

QUICK = ("curate_market",)  # at the others under slow: each takes seconds


@pytest.fixture(scope="module")
def ready(history, tmp_path_factory) -> dict:
    """For each step a home in which the steps before it were run for the day."""
    homes, base = {}, tmp_path_factory.mktemp("ready")
    home = copy(history, base / "home")
    ports, window = Ports(Settings(home=str(home))), Window.parse(DAY, DAY)
    for step in MARKET_DAILY.ordered():
        if step.name in WHERE:
            homes[step.name] = copy(home, base / step.name)
        run_step(step, window, ports)
    return homes


@pytest.mark.parametrize("step", WHERE)
def test_a_full_disk_is_named_and_takes_nothing_away(ready, nursery, tmp_path, step):
    home = copy(ready[step], tmp_path / "home")
    before = content(home), published(home)
    words = ("run", "market_daily", step, "--start", DAY, "--end", DAY)
    starved = nursery.run(home, *words, limit=100)
    assert starved.code == 3, starved.said
    assert WHERE[step] in " ".join(starved.said.split())
    check_readable(home)
    assert (content(home), published(home)) == before
    fed = nursery.run(home, *words)
    assert fed.code == 0, fed.said


@pytest.mark.parametrize("broken", ["write", "move"])
@pytest.mark.parametrize(
    "step",
    [each if each in QUICK else pytest.param(each, marks=pytest.mark.slow) for each in WHERE],
)
def test_a_disk_that_fails_is_named_and_takes_nothing_away(ready, nursery, tmp_path, step, broken):
    home = copy(ready[step], tmp_path / "home")
    before = content(home), published(home)
    words = ("run", "market_daily", step, "--start", DAY, "--end", DAY)
    failed = nursery.run(home, *words, broken=broken)
    assert failed.code == 3, failed.said
    assert WHERE[step] in " ".join(failed.said.split())
    check_readable(home)
    assert (content(home), published(home)) == before
    healed = nursery.run(home, *words)
    assert healed.code == 0, healed.said


def test_a_run_that_gets_room_again_ends_as_if_nothing_had_been(history, nursery, tmp_path):
    home, other = copy(history, tmp_path / "home"), copy(history, tmp_path / "other")
    words = ("run", "market_daily", "--start", DAY, "--end", DAY)
    for limit in (0, 3_000, 9_000, 30_000):
        starved = nursery.run(home, *words, limit=limit)
        assert starved.code == 3, starved.said
        check_readable(home)
    assert nursery.run(home, *words).code == 0
    run_pipeline(MARKET_DAILY, Window.parse(DAY, DAY), Ports(Settings(home=str(other))))
    assert content(home) == content(other)
    assert published(home) == published(other)
    shutil.rmtree(home)
