import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskcast.evaluation.losses import absolute_error, qlike, squared_error, with_losses

variances = st.floats(1e-8, 1.0)


def test_golden_values():
    y, h = np.array([1e-4, 4e-4, 1e-4]), np.array([1e-4, 1e-4, 4e-4])
    # 4 - ln 4 - 1 and 1/4 + ln 4 - 1
    np.testing.assert_allclose(qlike(y, h), [0.0, 1.6137056389, 0.6362943611], atol=1e-10)
    np.testing.assert_allclose(squared_error(y, h), [0.0, 1e-4, 1e-4])
    np.testing.assert_allclose(absolute_error(y, h), [0.0, 0.01, 0.01])


@given(y=variances, h=variances, scale=st.floats(0.1, 10))
def test_qlike_is_never_negative_and_has_no_unit(y, h, scale):
    loss = qlike(np.array([y]), np.array([h]))
    assert loss >= -1e-12
    np.testing.assert_allclose(qlike(scale * np.array([y]), scale * np.array([h])), loss, atol=1e-9)


def test_the_expected_qlike_is_least_at_the_mean():
    y = np.random.default_rng(0).chisquare(5, size=200_000) / 5
    means = {h: qlike(y, np.full(len(y), h)).mean() for h in (0.9, 1.0, 1.1)}
    assert means[1.0] < min(means[0.9], means[1.1])
    # ln(5/2) - digamma(5/2): the loss that noise of five squared returns alone makes
    assert means[1.0] == pytest.approx(0.2131, abs=0.003)


@pytest.mark.parametrize(("y", "h"), [(0.0, 1.0), (1.0, 0.0), (1.0, np.nan), (-1.0, 1.0)])
def test_qlike_has_no_meaning_for_what_is_not_positive(y, h):
    with pytest.raises(ValueError, match="positive"):
        qlike(np.array([y]), np.array([h]))


def test_a_record_gains_both_losses():
    record = with_losses(pl.DataFrame({"variance": [4e-4], "variance_hat": [1e-4]}))
    assert record["qlike"][0] == pytest.approx(1.6137056389)
    assert record["sq_error"][0] == pytest.approx(1e-4)
