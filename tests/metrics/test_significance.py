import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oodbench import InputError
from oodbench.metrics.intervals import (
    INDEPENDENT,
    Clusters,
    delong_variance,
    placements,
)
from oodbench.metrics.ranking import auroc
from oodbench.metrics.significance import (
    Difference,
    contrasts,
    delong_difference,
    holm,
    over_seeds,
    seed_difference,
)

p_values = st.lists(st.floats(0, 1), max_size=8)


def correlated(seed, n, m, shift, other_shift, rho=0.8):
    """Draws ID and OOD scores of two detectors, correlated over images."""
    rng = np.random.default_rng(seed)
    covariance = [[1, rho], [rho, 1]]
    inside = rng.multivariate_normal([shift, other_shift], covariance, n).T
    return inside, rng.multivariate_normal([0, 0], covariance, m).T


def difference(inside, outside, clusters=INDEPENDENT, **options):
    places = [placements(i, o) for i, o in zip(inside, outside, strict=True)]
    return delong_difference(*places, clusters, **options)


def naive_variance(inside, outside):
    """The covariance matrix of DeLong et al., from the matrices of all pairs."""
    order = [
        (i[:, None] > o) + (i[:, None] == o) / 2
        for i, o in zip(inside, outside, strict=True)
    ]
    v10, v01 = ([a.mean(axis=axis) for a in order] for axis in (1, 0))
    matrix = np.cov(v10) / len(v10[0]) + np.cov(v01) / len(v01[0])
    return matrix[0, 0] + matrix[1, 1] - 2 * matrix[0, 1]


def test_the_variance_is_that_of_the_covariance_matrix_of_all_pairs():
    inside, outside = correlated(0, 40, 60, 1, 0.5)
    inside, outside = inside.round(1), outside.round(1)  # some ties
    found = difference(inside, outside)
    assert found.value == pytest.approx(
        auroc(inside[0], outside[0]) - auroc(inside[1], outside[1])
    )
    error = naive_variance(inside, outside) ** 0.5
    assert found.high - found.value == pytest.approx(1.959964 * error, rel=1e-6)


def test_swapping_the_detectors_mirrors_the_difference():
    inside, outside = correlated(0, 40, 60, 1, 0.5)
    one, other = difference(inside, outside), difference(inside[::-1], outside[::-1])
    assert other == pytest.approx((-one.value, -one.high, -one.low, one.p))


def test_unrelated_detectors_add_their_variances():
    inside, outside = correlated(0, 3000, 3000, 1, 0.5, rho=0)
    found = difference(inside, outside)
    both = sum(delong_variance(i, o) for i, o in zip(inside, outside, strict=True))
    assert found.high - found.low == pytest.approx(2 * 1.96 * both**0.5, rel=0.03)


def test_equal_detectors_are_told_apart_in_5_percent_of_samples():
    found = [difference(*correlated(seed, 60, 60, 1, 1)) for seed in range(1000)]
    rejected = np.mean([one.p < 0.05 for one in found])
    assert rejected == pytest.approx(0.05, abs=0.02)  # three standard errors
    assert rejected == np.mean([not one.low <= 0 <= one.high for one in found])


def test_the_same_order_is_no_difference():
    inside, outside = correlated(0, 40, 60, 1, 1)
    found = difference([inside[0], np.exp(inside[0])], [outside[0], np.exp(outside[0])])
    assert (found.value, found.p) == (0, 1)


def test_two_perfect_detectors_may_differ_by_what_the_sample_missed():
    found = difference([[2] * 50, [3] * 50], [[1] * 80, [0] * 80])
    missed = 1 - 0.025 ** (1 / 50)
    assert found == pytest.approx((0, -missed, missed, 1))


def test_perfect_and_useless_detectors_differ_beyond_chance():
    found = difference([[2] * 50, [0] * 50], [[1] * 80, [0] * 80])
    assert found.value == 0.5
    assert found.p == pytest.approx(2 * 1.5**-50)
    assert found.low > 0.39


def test_copies_of_images_in_clusters_add_nothing():
    inside, outside = correlated(0, 40, 60, 1, 0.5)
    clusters = Clusters(np.repeat(np.arange(40), 3), np.repeat(np.arange(60), 3))
    once = difference(inside, outside, Clusters(np.arange(40), np.arange(60)))
    thrice = difference(np.repeat(inside, 3, 1), np.repeat(outside, 3, 1), clusters)
    assert thrice == pytest.approx(once)
    # Student's quantile is wider than the normal one.
    assert once.high > difference(inside, outside).high


def test_a_single_cluster_says_nothing():
    inside, outside = correlated(0, 40, 60, 1, 0.5)
    found = difference(inside, outside, Clusters(None, np.zeros(60)))
    assert (found.low, found.high, found.p) == (-1, 1, 1)


def test_scores_of_other_images_are_refused():
    with pytest.raises(InputError, match=r"\[2, 2\] and \[3, 2\] images"):
        delong_difference(placements([2, 3], [0, 1]), placements([2, 3, 4], [0, 1]))


def test_seeds_are_compared_as_by_scipy():
    from scipy.stats import ttest_rel

    first, second = [0.91, 0.93, 0.92, 0.97], [0.90, 0.90, 0.93, 0.91]
    found = seed_difference(first, second)
    reference = ttest_rel(first, second)
    assert found.p == pytest.approx(reference.pvalue)
    interval = reference.confidence_interval()
    assert found[1:3] == pytest.approx((interval.low, interval.high))


def test_seeds_that_agree_to_the_last_digit_are_no_proof():
    found = seed_difference([0.75, 0.5], [0.5, 0.25])
    assert found.p == 1
    assert found.low < 0 < found.high


def test_one_seed_is_too_few_for_a_difference():
    with pytest.raises(InputError, match="at least two"):
        seed_difference([0.9], [0.8])
    assert np.isnan(over_seeds([0.9]).deviation)
    assert over_seeds([1, 3]) == (2, pytest.approx(2**0.5))


@given(p_values)
def test_holm_keeps_order_and_stays_between_p_and_bonferroni(values):
    corrected = holm(values)
    for p, c in zip(values, corrected, strict=True):
        assert p <= c <= min(1, len(values) * p)
    assert [corrected[i] for i in np.argsort(values)] == sorted(corrected)


def test_holm_rejects_step_by_step():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def fake(p):
    return lambda one, other: Difference(0, 0, 0, p)


def test_a_best_one_is_compared_in_the_family_of_all_pairs():
    found = contrasts({"a": 0.7, "b": 0.9, "c": 0.8}, fake(0.01))
    assert [(one.label, one.against) for one in found] == [("a", "b"), ("c", "b")]
    assert [one.corrected for one in found] == pytest.approx([0.03, 0.03])
    assert all(one.told_apart for one in found)


def test_a_named_one_is_compared_in_the_family_of_its_pairs():
    found = contrasts({"a": 0.7, "b": 0.9, "c": 0.8}, fake(0.03), "a")
    assert [(one.label, one.against) for one in found] == [("b", "a"), ("c", "a")]
    assert [one.corrected for one in found] == pytest.approx([0.06, 0.06])
    assert not any(one.told_apart for one in found)


def test_one_detector_alone_has_nothing_beside_it():
    assert contrasts({"a": 0.7}, fake(0)) == []
