import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest
from synthetic_design import COLUMNS, HYBRID, design, offset

from riskcast.core.errors import ArtifactRefused, FeatureMissing
from riskcast.models.base import H_BOUNDS
from riskcast.models.calibration import Calibration
from riskcast.models.gamma_glm import GammaGlm
from riskcast.models.linear import LogOls
from riskcast.models.pool import Member
from riskcast.models.served import ServedModel

ROWS = design()
BENCHMARK = LogOls(("lvix", "tv1")).fit(ROWS, seed=0)
THRESHOLDS = np.full((len(ROWS.x), 2), [0.02, 0.03])


def served(*, hybrid_weight: float = 0.5) -> ServedModel:
    glm = GammaGlm(("tv1", "tv5", "r1neg"), alpha=0.02).fit(ROWS, seed=0)
    trees = HYBRID.fit(ROWS, seed=1, offset=offset(ROWS))
    return ServedModel(
        "daily_risk",
        "0123456789ab",
        COLUMNS,
        ("rv5_q33", "rv5_q67"),
        (
            Member("log_har_vix", "log_ols", 0.0, "", BENCHMARK),
            Member("gamma_glm", "gamma_glm", 1 - hybrid_weight, "", glm),
            Member("hybrid", "lightgbm_hybrid", hybrid_weight, "log_har_vix", trees),
        ),
        Calibration.of(np.random.default_rng(0).normal(size=300), np.full((3, 2), 0.02)),
        BENCHMARK.fit_end,
    )


MODEL = served()


def test_the_forecast_is_the_weighted_mean_of_log_variances():
    base = BENCHMARK.log_variance(ROWS.x[:, [3, 0]])
    glm = MODEL.members[1].fitted.log_variance(ROWS.x[:, [0, 1, 4]])
    trees = MODEL.members[2].fitted.log_variance(ROWS.x, base)
    np.testing.assert_allclose(MODEL.log_variance(ROWS.x), (glm + trees) / 2, atol=1e-12)
    made = MODEL.forecast(ROWS.x, THRESHOLDS)
    np.testing.assert_allclose(np.log(made.variance), (glm + trees) / 2, atol=1e-9)


def test_contributions_add_up_to_the_log_variance_before_clipping():
    made = MODEL.forecast(ROWS.x, THRESHOLDS)
    gap = made.contributions.sum(axis=1) - MODEL.log_variance(ROWS.x)
    assert np.abs(gap).max() < 1e-6
    assert made.contributions.shape == (len(ROWS.x), len(COLUMNS) + 1)


def test_the_offset_of_a_hybrid_is_attributed_to_the_columns_of_its_own_model():
    only = served(hybrid_weight=1.0)
    trees = only.members[2].fitted.contributions(ROWS.x, np.zeros(len(ROWS.x)))
    linear = BENCHMARK.contributions(ROWS.x[:, [3, 0]])
    effects = only.forecast(ROWS.x, THRESHOLDS).contributions
    np.testing.assert_allclose(effects[:, 3], trees[:, 3] + linear[:, 0])
    np.testing.assert_allclose(effects[:, 0], trees[:, 0] + linear[:, 1])
    np.testing.assert_allclose(effects[:, 1], trees[:, 1])


def test_a_wild_input_gives_a_forecast_within_bounds():
    x = ROWS.x[:2].copy()
    x[0, 3], x[1, 3] = 1e3, -1e3
    made = served(hybrid_weight=1.0).forecast(x, THRESHOLDS[:2])
    np.testing.assert_allclose(made.variance, H_BOUNDS[::-1])
    assert abs(made.contributions.sum(axis=1)).max() > 100


def test_one_row_alone_gives_what_it_gives_among_others():
    many, one = MODEL.forecast(ROWS.x, THRESHOLDS), MODEL.forecast(ROWS.x[7:8], THRESHOLDS[7:8])
    np.testing.assert_allclose(one.variance[0], many.variance[7], rtol=1e-12)
    np.testing.assert_allclose(one.contributions[0], many.contributions[7], atol=1e-12)
    np.testing.assert_allclose(one.intervals[80][0], many.intervals[80][7], rtol=1e-12)
    np.testing.assert_array_equal(one.regime_probs[0], many.regime_probs[7])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_missing_value_is_an_error_that_names_the_column(bad):
    x, thresholds = ROWS.x[:2].copy(), THRESHOLDS[:2].copy()
    x[1, 2] = bad
    with pytest.raises(FeatureMissing, match="tv22"):
        MODEL.forecast(x, thresholds)
    thresholds[0, 1] = bad
    with pytest.raises(FeatureMissing, match="rv5_q67"):
        MODEL.forecast(ROWS.x[:2], thresholds)


def test_a_stored_model_forecasts_the_same_to_the_bit():
    again = ServedModel.load(MODEL.dump())
    now, then = MODEL.forecast(ROWS.x, THRESHOLDS), again.forecast(ROWS.x, THRESHOLDS)
    np.testing.assert_array_equal(now.variance, then.variance)
    np.testing.assert_array_equal(now.contributions, then.contributions)
    np.testing.assert_array_equal(now.regime_probs, then.regime_probs)
    for level, ends in now.intervals.items():
        np.testing.assert_array_equal(ends, then.intervals[level])
    assert again.dump() == MODEL.dump()


def test_a_model_stored_before_ends_were_moved_is_still_read():
    files = MODEL.dump()
    manifest = json.loads(files["model.json"])
    del manifest["shifts"]
    old = ServedModel.load({**files, "model.json": json.dumps(manifest).encode()})
    still = replace(MODEL, calibration=Calibration(MODEL.calibration.ratios))
    then, now = (m.forecast(ROWS.x[:3], THRESHOLDS[:3]).intervals for m in (old, still))
    np.testing.assert_array_equal(then[95], now[95])


def test_a_stored_model_is_plain_text():
    for name, content in MODEL.dump().items():
        assert name.endswith((".json", ".txt"))
        content.decode("ascii")


def test_files_without_a_manifest_are_refused():
    files = MODEL.dump()
    del files["model.json"]
    with pytest.raises(ArtifactRefused, match=r"model\.json"):
        ServedModel.load(files)


@pytest.mark.parametrize("name", sorted(set(MODEL.dump()) - {"model.json"}))
def test_an_altered_or_missing_file_is_refused(name):
    files = MODEL.dump()
    with pytest.raises(ArtifactRefused):
        ServedModel.load({**files, name: files[name].replace(b"0", b"1", 1) + b" "})
    with pytest.raises(ArtifactRefused):
        ServedModel.load({k: v for k, v in files.items() if k != name})


def test_a_file_that_the_manifest_does_not_know_is_refused():
    with pytest.raises(ArtifactRefused, match=r"evil\.pkl"):
        ServedModel.load({**MODEL.dump(), "evil.pkl": b"\x80\x04"})


def _member(**change):
    def edit(manifest):
        manifest["members"][2].update(change)

    return edit


@pytest.mark.parametrize(
    "edit",
    [
        lambda m: m.update(format=2),
        lambda m: m.update(format="1"),
        lambda m: m.update(thresholds=["rv5_q33"]),
        lambda m: m.update(columns=["tv1"]),
        lambda m: m.update(columns="tv1"),
        lambda m: m.update(fit_end="1999-01-01"),
        lambda m: m.update(fit_end=None),
        lambda m: m.update(ratios=[0.0] * 10),
        lambda m: m.update(ratios=[*range(200, 0, -1)]),
        lambda m: m.update(ratios=[None] * 200),
        lambda m: m.update(ratios=7),
        lambda m: m.update(shifts=[0.0] * 5),
        lambda m: m.update(shifts=[None] * 6),
        lambda m: m.update(members=[]),
        lambda m: m.update(members=[1]),
        lambda m: m.update(members={"name": "x"}),
        lambda m: m.update(sha256=[]),
        lambda m: m["sha256"].update({"other.json": [1]}),
        _member(engine="os:system"),
        _member(engine="log_ols"),
        _member(offset="nobody"),
        _member(offset="hybrid"),
        _member(weight=0.7),
        _member(weight=-0.5),
        _member(name="gamma_glm"),
        _member(name="../../etc"),
    ],
)
def test_a_manifest_that_contradicts_itself_is_refused(edit):
    files = MODEL.dump()
    manifest = json.loads(files["model.json"])
    edit(manifest)
    with pytest.raises(ArtifactRefused):
        ServedModel.load({**files, "model.json": json.dumps(manifest).encode()})


def test_a_member_with_a_right_digest_and_a_wrong_state_is_refused():
    files = MODEL.dump()
    name = "gamma_glm.model.json"
    files[name] = files[name].replace(b'"tv1"', b'"vix"')
    manifest = json.loads(files["model.json"])
    manifest["sha256"][name] = hashlib.sha256(files[name]).hexdigest()
    with pytest.raises(ArtifactRefused, match="vix"):
        ServedModel.load({**files, "model.json": json.dumps(manifest).encode()})


def test_a_member_fitted_later_than_the_model_says_is_refused():
    early = replace(MODEL, fit_end=BENCHMARK.fit_end.replace(year=2000))
    with pytest.raises(ArtifactRefused, match="fit_end"):
        ServedModel.load(early.dump())
