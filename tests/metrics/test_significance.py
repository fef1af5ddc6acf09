import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oodbench import InputError
from oodbench.metrics.intervals import placements
from oodbench.metrics.significance import (
    Difference,
    contrasts,
    delong_difference,
    holm,
    over_seeds,
    seed_difference,
)
from oodbench.metrics.spreads import INDEPENDENT, Clusters, deviations, spread_of

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


def naive_difference(inside, outside):
    """The difference and its variance from the matrices of all pairs (DeLong et al.).

    Each class has one more image, which differs as much as the most different one.
    """
    first, second = (
        (i[:, None] > o) + (i[:, None] == o) / 2
        for i, o in zip(inside, outside, strict=True)
    )
    apart = first - second
    variance = 0.0
    for axis in (1, 0):
        means = apart.mean(axis=axis)
        means = np.append(means, -np.sign(apart.mean()) * np.abs(means).max())
        variance += np.var(means, ddof=1) / means.size
    return apart.mean(), variance


def test_the_p_value_is_that_of_the_matrices_of_all_pairs():
    inside, outside = correlated(0, 3000, 2000, 1, 0.95)
    inside, outside = inside.round(1), outside.round(1)  # some ties
    found = difference(inside, outside)
    value, variance = naive_difference(inside, outside)
    assert found.value == pytest.approx(value)
    # Of so many images the quantile is nearly the normal one.
    expected = math.erfc(abs(value) / math.sqrt(2 * variance))
    assert 0.001 < found.p == pytest.approx(expected, rel=0.01)


def test_swapping_the_detectors_mirrors_the_difference():
    inside, outside = correlated(0, 40, 60, 1, 0.5)
    one, other = difference(inside, outside), difference(inside[::-1], outside[::-1])
    assert other == pytest.approx((-one.value, -one.high, -one.low, one.p))


def test_unrelated_detectors_add_their_variances():
    inside, outside = correlated(0, 3000, 3000, 1, 0.5, rho=0)
    found = difference(inside, outside)
    both = sum(
        spread_of(deviations(placements(*pair), INDEPENDENT)).variance
        for pair in zip(inside, outside, strict=True)
    )
    assert found.high - found.low == pytest.approx(2 * 1.96 * both**0.5, rel=0.03)


def test_equal_detectors_differ_significantly_in_5_percent_of_samples():
    found = [difference(*correlated(seed, 400, 400, 1, 1)) for seed in range(1000)]
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
    # Clusters of one image are images.
    assert once == pytest.approx(difference(inside, outside))


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


def test_three_images_show_no_difference_by_agreement_but_for_rounding():
    found = difference([[0, 0, 1], [1, 1, 3]], [[0, 0, 2], [0, 0, 2]])
    assert found.value == pytest.approx(-1 / 3)
    assert found.p > 0.5
    assert found.low < 0 < found.high


def test_rounding_within_clusters_is_no_variance():
    inside = np.array([np.tile([0.1, 0.2, 0.3], 4), np.zeros(12)])
    outside = np.array([np.full(12, 0.25), np.full(12, -1.0)])
    clusters = Clusters(np.arange(12) // 3, np.arange(12) // 3)
    found = difference(inside, outside, clusters)
    assert found.value == pytest.approx(-2 / 3)
    assert found.p == pytest.approx(2 * (1 + 2 / 3) ** -4)


tiny = st.lists(st.integers(0, 4), min_size=2, max_size=5)


@given(tiny, tiny, st.data())
def test_few_images_show_no_difference(inside, outside, data):
    again = [
        data.draw(st.lists(st.integers(0, 4), min_size=len(x), max_size=len(x)))
        for x in (inside, outside)
    ]
    found = difference([inside, again[0]], [outside, again[1]])
    # Even where all of five images differ by 1 the exact chance is 2 / 2 ** 5.
    assert found.p > 0.05
    assert -1 <= found.low <= found.value <= found.high <= 1


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ([0.75, 0.5], [0.5, 0.25]),
        ([0.85, 0.80], [0.74, 0.69]),
        ([0.9, 0.8, 0.7], [0.8, 0.7, 0.6]),
        ([0.9, 0.9], [0.9, 0.9]),
        ([0.1 + 0.2, 0.3], [0.3, 0.1 + 0.2]),
    ],
)
def test_seeds_that_agree_but_for_rounding_are_no_proof(first, second):
    found = seed_difference(first, second)
    assert found.p == 1
    assert found.low < 0 < found.high


def test_a_small_true_spread_over_seeds_is_no_rounding():
    found = seed_difference([0.9, 0.8 + 1e-9], [0.8, 0.7])
    assert found.p < 1e-6


def test_seeds_without_a_partner_are_refused():
    with pytest.raises(InputError, match="There are 3 and 1 seeds"):
        seed_difference([0.9, 0.8, 0.7], [0.8])


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
    return lambda pairs: [Difference(0, 0, 0, p)] * len(pairs)


def test_a_best_one_is_compared_in_the_family_of_all_pairs():
    found = contrasts({"a": 0.7, "b": 0.9, "c": 0.8}, fake(0.01))
    assert [(one.label, one.against) for one in found] == [("a", "b"), ("c", "b")]
    assert [one.corrected for one in found] == pytest.approx([0.03, 0.03])
    assert all(one.is_significant for one in found)


def test_a_named_one_is_compared_in_the_family_of_its_pairs():
    found = contrasts({"a": 0.7, "b": 0.9, "c": 0.8}, fake(0.03), "a")
    assert [(one.label, one.against) for one in found] == [("b", "a"), ("c", "a")]
    assert [one.corrected for one in found] == pytest.approx([0.06, 0.06])
    assert not any(one.is_significant for one in found)


def test_one_detector_alone_has_no_contrasts():
    assert contrasts({"a": 0.7}, fake(0)) == []
