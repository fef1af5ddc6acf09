"""Wilcoxon's signed-rank test against all choices of signs, and against SciPy."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from oodbench.metrics.signed_ranks import mean_ranks, signed_rank_p


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=8))
def test_ties_are_exact_over_all_choices_of_signs(differences):
    values = np.array([one for one in differences if one], dtype=np.float64)
    ranks = stats.rankdata(np.abs(values))
    sums = np.array([np.dot(ranks, s) for s in product((0, 1), repeat=values.size)])
    seen = ranks[values > 0].sum()
    tail = min(np.mean(sums <= seen), np.mean(sums >= seen))
    assert signed_rank_p(differences) == pytest.approx(min(1, 2 * tail), rel=1e-14)


@pytest.mark.parametrize("size", [1, 7, 50, 51, 300])
def test_without_ties_it_is_the_test_of_scipy(size):
    values = np.random.default_rng(size).normal(0.2, 1, size)
    expected = stats.wilcoxon(values).pvalue
    assert signed_rank_p(values) == pytest.approx(expected, rel=1e-12)


def test_many_ties_have_the_variance_of_scipy():
    values = np.random.default_rng(0).integers(1, 9, 200) * np.resize([1, 1, -1], 200)
    assert signed_rank_p(values) == pytest.approx(
        stats.wilcoxon(values, method="asymptotic").pvalue, rel=1e-12
    )


def test_no_difference_is_no_evidence():
    assert signed_rank_p([0, 0]) == 1
    assert signed_rank_p([0, 2, -2]) == 1


@given(st.lists(st.integers(-4, 4), min_size=1, max_size=30))
def test_mean_ranks_are_those_of_scipy(values):
    array = np.array(values, dtype=np.float64)
    assert mean_ranks(array).tolist() == stats.rankdata(array).tolist()
