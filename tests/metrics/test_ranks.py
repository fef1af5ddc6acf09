"""Mean ranks, Friedman's and Wilcoxon's tests, and the cliques that follow."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oodbench import InputError
from oodbench.metrics.ranks import Ranks, rank


def test_the_mean_of_hand_made_ranks():
    # Ranks by pair: a 1, b 2, c 3; then b 1, and a and c share 2 and 3.
    found = rank({"a": [0.9, 0.5], "b": [0.8, 0.6], "c": [0.7, 0.5]})
    assert found.means == {"b": 1.5, "a": 1.75, "c": 2.75}
    assert found.pairs == 2


def test_friedman_by_its_formula():
    rng = np.random.default_rng(0)
    table = rng.random((4, 9))
    found = rank(dict(zip("abcd", table, strict=True)))
    ranks = np.array([1 + np.sum(table > row, axis=0) for row in table])
    n, k = 9, 4
    statistic = 12 * n / (k * (k + 1)) * np.sum((ranks.mean(1) - (k + 1) / 2) ** 2)
    sampled = np.random.default_rng(1).chisquare(k - 1, 200_000)
    assert found.p == pytest.approx(np.mean(sampled >= statistic), abs=0.005)


def test_wilcoxon_where_one_is_always_better():
    # All 6 differences have one sign: p = 2 / 2^6, and Holm leaves a single test.
    found = rank({"a": np.arange(6) + 0.5, "b": np.arange(6) * 0.9})
    assert found.apart == {frozenset("ab"): pytest.approx(2 / 64)}
    assert found.p == pytest.approx(2 / 64)
    assert found.cliques == []


def test_equal_detectors_are_one_clique():
    values = np.linspace(0, 1, 20)
    found = rank({"a": values, "b": values, "c": values})
    assert found.p == 1
    assert found.cliques == [("a", "b", "c")]


def test_cliques_are_maximal_and_may_overlap():
    far = frozenset("ac"), frozenset("ad"), frozenset("bd")
    pairs = [
        frozenset((one, other)) for one in "abcd" for other in "abcd" if one < other
    ]
    apart = {pair: 0.01 if pair in far else 0.5 for pair in pairs}
    means = {"a": 1.0, "b": 2.0, "c": 3.0, "d": 4.0}
    assert Ranks(means, 9, 0.001, apart).cliques == [("a", "b"), ("b", "c"), ("c", "d")]
    assert Ranks(means, 9, 0.2, apart).cliques == [("a", "b", "c", "d")]


@given(st.integers(0, 1000), st.integers(2, 5), st.integers(2, 8))
def test_ranks_sum_to_their_total_and_no_increasing_map_changes_them(seed, k, n):
    rng = np.random.default_rng(seed)
    table = rng.integers(0, 4, (k, n)) / 4
    values = dict(zip("abcde", table, strict=False))
    found = rank(values)
    assert sum(found.means.values()) == pytest.approx(k * (k + 1) / 2)
    assert (
        rank({name: np.exp(row) for name, row in values.items()}).means == found.means
    )


@pytest.mark.parametrize(
    "values", [{"a": [1, 2]}, {"a": [1], "b": [2]}, {"a": [1, 2], "b": [1, 2, 3]}]
)
def test_too_little_is_refused(values):
    with pytest.raises(InputError, match="two or more pairs"):
        rank(values)
