import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import multivariate_normal

from riskcast.regimes.mixture import (
    Mixture,
    choose_mixture,
    fit_kmeans,
    fit_mixture,
    match,
    order_by,
)

RNG = np.random.default_rng(3)
CENTRES = np.array([[0.0, 0.0], [4.0, 1.0], [9.0, -2.0]])
ROWS = np.concatenate([RNG.normal(c, 0.5, (300, 2)) for c in CENTRES])


def mixture() -> Mixture:
    return order_by(fit_mixture(ROWS, k=3, seed=1), 0)


def test_the_centres_of_three_clear_clouds_are_found():
    found = mixture().means * ROWS.std(axis=0) + ROWS.mean(axis=0)
    assert found == pytest.approx(CENTRES, abs=0.15)


def test_probabilities_sum_to_one_and_follow_the_clouds():
    p = mixture().probabilities(CENTRES)
    assert p.sum(axis=1) == pytest.approx(1.0)
    assert p.argmax(axis=1).tolist() == [0, 1, 2]


@pytest.mark.parametrize("of", ["probabilities", "distances"])
def test_a_row_comes_out_the_same_to_the_bit_alone_and_among_others(of):
    measure = getattr(mixture(), of)
    whole = measure(ROWS)
    for size in (1, 2, 3, 7, 64, 501):
        parts = [measure(ROWS[i : i + size]) for i in range(0, len(ROWS), size)]
        assert (np.concatenate(parts) == whole).all()


def test_densities_are_those_of_scipy():
    found, z = mixture(), mixture().standardise(ROWS)
    density = np.column_stack(
        [
            w * multivariate_normal.pdf(z, m, c)
            for w, m, c in zip(found.weights, found.means, found.covariances, strict=True)
        ]
    )
    expected = density / density.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found.probabilities(ROWS), expected, rtol=1e-9, atol=1e-300)


def test_distance_is_zero_at_the_centre_and_euclidean_for_a_unit_covariance():
    unit = Mixture(np.zeros(2), np.ones(2), np.ones(1), np.zeros((1, 2)), np.eye(2)[None], (0,))
    assert unit.distances(np.array([[0.0, 0.0], [3.0, 4.0]])).ravel() == pytest.approx([0, 5])


@given(st.permutations(range(3)))
def test_matching_gives_back_the_ids_however_a_refit_numbers_its_states(order):
    shuffled = mixture().reorder(np.array(order), (0, 1, 2))
    matched = match(shuffled, mixture())
    assert matched.means == pytest.approx(mixture().means)
    assert matched.ids == (0, 1, 2)


def test_a_state_that_appears_gets_a_new_id_and_the_others_keep_theirs():
    rows = np.vstack([ROWS, np.random.default_rng(4).normal([2, 6], 0.3, (300, 2))])
    grown = match(order_by(fit_mixture(rows, k=4, seed=1), 0), mixture())
    assert grown.ids == (0, 1, 2, 3)
    centres = grown.means * grown.scale + grown.center
    assert centres == pytest.approx(np.vstack([CENTRES, [2, 6]]), abs=0.2)
    assert grown.probabilities(np.array([[2.0, 6.0]])).argmax() == 3


def test_a_state_that_vanishes_leaves_its_id_vacant_and_may_come_back():
    two = order_by(fit_mixture(ROWS[300:], k=2, seed=1), 0)
    shrunk = match(two, mixture())
    assert shrunk.ids == (1, 2)
    assert match(mixture(), shrunk).ids == (0, 1, 2)


def test_bic_finds_the_number_of_clear_clouds():
    assert choose_mixture(ROWS, ks=(2, 3, 4, 5), seed=1).ids == (0, 1, 2)


def test_k_means_finds_the_same_clear_clouds():
    clusters = order_by(fit_kmeans(ROWS, k=3, seed=1), 0)
    by_both = [m.probabilities(ROWS).argmax(axis=1) for m in (clusters, mixture())]
    assert (by_both[0] == by_both[1]).mean() > 0.99


def test_rows_that_overlap_are_less_evidence_for_another_state():
    slowly = np.repeat(RNG.standard_t(4, (150, 2)), 20, axis=0) + RNG.normal(0, 0.05, (3000, 2))
    naive, honest = (choose_mixture(slowly, ks=(1, 2, 3, 4, 5), seed=1, overlap=n) for n in (1, 20))
    assert len(naive.ids) == 5
    assert len(honest.ids) < 4
