"""The skill report is one page that stands alone and says what the tables say."""

import re
from dataclasses import replace

import polars as pl
import pytest
from tests.evaluation.synthetic_market import SMALL, built

from riskcast.core.errors import NotEnoughHistory
from riskcast.evaluation import intervals
from riskcast.evaluation.regimes import summary
from riskcast.evaluation.scores import score
from riskcast.evaluation.walk_forward import walk_forward
from riskcast.jobs.report import gather, render, with_rivals, write_report
from riskcast.products import Candidate

MACRO = replace(
    SMALL.candidate("gamma_glm"),
    name="glm_more",
    columns=(*SMALL.candidate("gamma_glm").columns, "spy_ret_1d"),
    partial=True,
)
PRODUCT, DESIGN, FEATURES, LABELS = built(replace(SMALL, candidates=(*SMALL.candidates, MACRO)))
FEATURES = FEATURES.with_columns(
    regime_cluster_id=(pl.col("tv22") > pl.col("tv22").median()).cast(pl.Int64),
    spy_vol_20d=(252 * pl.col("tv22").exp()).sqrt(),
    drawdown_60d=pl.lit(-0.05) + 0.001 * pl.col("neg22"),
    ew94=pl.col("lvix"),
    rv22=pl.col("tv22"),
    spy_ret_20d=pl.col("spy_ret_1d").rolling_sum(20),
    vix=pl.lit(None, pl.Float64),
)
RECORD = walk_forward(PRODUCT, DESIGN).record
EVIDENCE = gather(RECORD, FEATURES, PRODUCT, design=DESIGN)
PAGE = render(with_rivals(EVIDENCE, RECORD))


def without_scripts(page: str) -> str:
    return re.sub(r"<script.*?</script>", "", page, flags=re.S)


TEXT = without_scripts(PAGE)


def test_the_page_needs_no_network():
    assert not re.search(r'(src|href)="https?://', TEXT)
    assert PAGE.count("plotly.js v") == 1


def test_every_model_stands_in_the_skill_table_with_its_loss():
    for row in score(RECORD, PRODUCT).iter_rows(named=True):
        assert f"<td>{row['model']}</td><td>{row['qlike']:.4g}</td>" in TEXT


def test_added_columns_are_named_with_their_test():
    assert "glm_more adds spy_ret_1d" in TEXT
    assert "Blocks of columns added" in PAGE


def test_states_are_told_in_words_without_what_is_unknown():
    assert re.search(r"State 0: volatility \d+% a year", TEXT)
    assert "VIX around" not in TEXT


def test_forecasts_are_explained_with_the_newest_one_in_words():
    newest = EVIDENCE.effects["date"].max()
    assert re.search(rf"<b>{newest}</b>: Risk is .+\.</p>", TEXT)
    assert "Effect of each feature, a dot a session" in PAGE
    assert "Share of the mean absolute effect by year" in PAGE


def test_intervals_of_every_level_stand_with_coverage_and_scores():
    found = intervals.summary(EVIDENCE.published)
    for level in (50, 80, 95):
        assert f"<td>{level}%</td>" in TEXT
    assert f"is {found['crps_bp']:.1f} basis points" in TEXT


def test_without_a_design_nothing_is_explained():
    assert "What moves the forecast" not in render(gather(RECORD, FEATURES, PRODUCT))


def test_rivals_stand_beside_what_is_published():
    ways = ("ratios, tracked (published)", "conformalised tree quantiles")
    for name in (*ways, "trees alone", "hidden Markov"):
        assert name in TEXT
    brier = summary(EVIDENCE.published)["brier"]
    assert f"<td>{brier:.4g}</td>" in TEXT


def test_without_added_columns_states_or_rivals_the_sections_are_left_out():
    plain = replace(PRODUCT, candidates=PRODUCT.candidates[:-1])
    record = RECORD.filter(pl.col("model") != "glm_more")
    empty = FEATURES.with_columns(regime_cluster_id=pl.lit(None, pl.Int64))
    page = render(gather(record, empty, plain))
    assert "Blocks of columns added" not in page
    assert "States of the market" not in page
    assert "conformal" not in without_scripts(page)


def test_the_command_s_work_ends_in_a_file_named_after_the_newest_outcome(tmp_path):
    product = replace(SMALL, challengers=(Candidate("har", "level_har", ("tv1", "tv5", "tv22")),))
    path = write_report(FEATURES, LABELS, product, tmp_path / "reports")
    assert path.name == f"skill_{product.name}_{RECORD['date'].max():%Y%m%d}.html"
    assert "<td>har</td>" in path.read_text()


def test_a_start_after_the_last_session_leaves_nothing_to_report(tmp_path):
    with pytest.raises(NotEnoughHistory):
        write_report(FEATURES, LABELS, SMALL, tmp_path, start=FEATURES["date"].max())
