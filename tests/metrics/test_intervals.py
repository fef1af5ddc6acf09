from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

from oodbench import InputError
from oodbench.metrics.intervals import delong_interval, few_decide, placements
from oodbench.metrics.ranking import auroc
from oodbench.metrics.spreads import INDEPENDENT, Clusters, deviations, spread_of

levels = st.lists(st.integers(0, 9), min_size=2, max_size=30)


def normal(n, mean):
    return np.random.default_rng(n).normal(mean, 1, n)


def spread(id_scores, ood_scores, clusters=INDEPENDENT):
    return spread_of(deviations(placements(id_scores, ood_scores), clusters))


def variance(id_scores, ood_scores, clusters=INDEPENDENT):
    return spread(id_scores, ood_scores, clusters).variance


def naive_variance(id_scores, ood_scores):
    """The structural components of DeLong et al., from the matrix of all pairs."""
    id_scores, ood_scores = np.array(id_scores)[:, None], np.array(ood_scores)
    order = (id_scores > ood_scores) + (id_scores == ood_scores) / 2
    v10, v01 = order.mean(axis=1), order.mean(axis=0)
    return np.var(v10, ddof=1) / v10.size + np.var(v01, ddof=1) / v01.size


@given(levels, levels)
def test_the_variance_is_that_of_all_pairs(id_scores, ood_scores):
    assert variance(id_scores, ood_scores) == pytest.approx(
        naive_variance(id_scores, ood_scores), abs=1e-12
    )


def naive_low(id_scores, ood_scores):
    """The low end from the matrix of all pairs, SciPy's quantiles and moments."""
    order = (id_scores[:, None] > ood_scores) + (id_scores[:, None] == ood_scores) / 2
    area, variance, doubt = order.mean(), 0.0, 0.0
    for axis in (1, 0):
        shortfalls = 1 - order.mean(axis=axis)
        row = np.append(shortfalls, shortfalls.max() ** 0.5)
        n, fourth = row.size, stats.moment(row, 4)
        spread = np.var(row, ddof=1)
        variance += spread / n
        of_variance = (fourth - np.var(row) ** 2 * (n - 3) / (n - 1)) / n
        doubt += max(of_variance, 2 * spread**2 / (n - 1)) / n**2
    step = stats.t.ppf(0.975, 2 * variance**2 / doubt) * variance**0.5
    stepped = special.expit(special.logit(area) - step / area / (1 - area))
    pairs = min(order.shape)
    return max(stepped, stats.beta.ppf(0.025, pairs * area, pairs * (1 - area) + 1))


@pytest.mark.parametrize("sizes", [(50, 70), (20, 500), (5, 4), (400, 300)])
@pytest.mark.parametrize("shift", [0, 1, 2.5])
def test_the_ends_are_those_of_all_pairs(sizes, shift):
    id_scores = normal(sizes[0], shift).round(1)
    ood_scores = normal(sizes[1], 0).round(1)
    low, high = delong_interval(id_scores, ood_scores)
    assert low == pytest.approx(naive_low(id_scores, ood_scores), rel=1e-9)
    assert high == pytest.approx(1 - naive_low(-id_scores, -ood_scores), rel=1e-9)


@pytest.mark.parametrize(("n", "area"), [(200, 0.9), (60, 0.7), (200, 0.5)])
def test_the_interval_holds_its_level(n, area):
    rng = np.random.default_rng(0)
    shift = 2**0.5 * NormalDist().inv_cdf(area)
    intervals = [
        delong_interval(rng.normal(shift, 1, n), rng.normal(0, 1, n))
        for _ in range(1000)
    ]
    held = np.mean([low <= area <= high for low, high in intervals])
    assert held == pytest.approx(0.95, abs=0.02)  # three standard errors


@pytest.mark.parametrize(("n", "m", "deviation"), [(1000, 50, 3), (100, 2000, 1)])
@pytest.mark.parametrize("area", [0.99, 0.999])
def test_the_interval_holds_its_level_where_few_images_decide(n, m, deviation, area):
    rng = np.random.default_rng(0)
    shift = (1 + deviation**2) ** 0.5 * NormalDist().inv_cdf(area)
    held = 0
    for _ in range(500):
        low, high = delong_interval(
            rng.normal(shift, 1, n), rng.normal(0, deviation, m)
        )
        held += low <= area <= high
    assert held / 500 > 0.93


@given(levels, levels)
def test_the_interval_holds_the_auroc_and_has_a_width(id_scores, ood_scores):
    low, high = delong_interval(id_scores, ood_scores)
    assert 0 <= low <= auroc(id_scores, ood_scores) <= high <= 1
    assert high - low > 0.01


@given(levels, levels)
def test_swapping_the_classes_mirrors_the_interval(id_scores, ood_scores):
    low, high = delong_interval(id_scores, ood_scores)
    mirrored = delong_interval(ood_scores, id_scores)
    assert mirrored == pytest.approx((1 - high, 1 - low), abs=1e-12)


@given(levels, levels, st.permutations(range(10)))
def test_neither_order_nor_an_increasing_map_changes_a_bit(id_scores, ood_scores, seed):
    images = np.cumsum(np.exp(seed)) - 1000
    shuffled = images[id_scores[::-1]], images[sorted(ood_scores)]
    assert delong_interval(*shuffled) == delong_interval(id_scores, ood_scores)


def test_more_images_and_a_lower_level_narrow_the_interval():
    id_scores, ood_scores = normal(100, 1), normal(100, 0)
    low, high = delong_interval(id_scores, ood_scores)
    for narrower in (
        delong_interval(id_scores, ood_scores, level=0.5),
        delong_interval(np.tile(id_scores, 4), np.tile(ood_scores, 4)),
    ):
        assert low < narrower.low < narrower.high < high


@pytest.mark.parametrize("sizes", [(2, 2), (20, 500), (500, 20), (3000, 3000)])
def test_perfect_separation_is_bounded_by_pairs_of_images(sizes):
    ones, zeros = np.ones(sizes[0]), np.zeros(sizes[1])
    low, high = delong_interval(ones, zeros)
    assert high == 1
    # At the lower bound, as many pairs in order have the chance of one tail.
    assert low ** min(sizes) == pytest.approx(0.025)
    assert delong_interval(zeros, ones) == pytest.approx((0, 1 - low))


def test_tied_scores_leave_the_auroc_as_open_as_their_number_allows():
    low, high = delong_interval([1] * 10, [1] * 10)
    assert low == 1 - high == pytest.approx(0.025**0.1 / 2)


@pytest.mark.parametrize("pair", [([1], [0]), ([1], [0, 2]), ([1, 2], [0])])
def test_a_single_image_says_nothing(pair):
    assert variance(*pair) == np.inf
    assert delong_interval(*pair) == (0, 1)


@pytest.mark.parametrize("level", [0, 1, 95, np.nan])
def test_a_level_outside_0_to_1_is_refused(level):
    with pytest.raises(InputError, match=f"level of {level} "):
        delong_interval([1, 2], [0, 1], level=level)


@pytest.mark.parametrize("function", [placements, delong_interval])
def test_unusable_scores_are_refused(function):
    with pytest.raises(InputError, match=r"id_scores .* first at index 1"):
        function([0, np.nan], [1, 2])
    with pytest.raises(InputError, match="ood_scores is empty"):
        function([0, 1], [])


@given(levels, levels)
def test_either_row_of_placements_has_the_auroc_as_its_mean(id_scores, ood_scores):
    area = auroc(id_scores, ood_scores)
    for row in placements(id_scores, ood_scores):
        assert row.mean() == pytest.approx(area)


@given(levels, levels)
def test_images_that_are_clusters_of_one_are_images(id_scores, ood_scores):
    singles = Clusters(np.arange(len(id_scores)), np.arange(len(ood_scores)))
    assert variance(id_scores, ood_scores, singles) == pytest.approx(
        variance(id_scores, ood_scores), abs=1e-12
    )


def test_copies_of_images_in_clusters_change_neither_variance_nor_freedom():
    id_scores, ood_scores = normal(30, 1), normal(20, 0)
    once = Clusters(np.arange(30), np.arange(20))
    found = spread(id_scores, ood_scores, once)
    thrice = spread(
        np.repeat(id_scores, 3),
        np.repeat(ood_scores, 3),
        Clusters(*(np.repeat(labels, 3) for labels in once)),
    )
    assert thrice == pytest.approx(found)
    # Satterthwaite's is below that of both classes.
    assert 1 <= found.freedom <= 48


def test_the_interval_over_clusters_holds_its_level():
    rng = np.random.default_rng(0)
    clusters = Clusters(None, np.repeat(np.arange(12), 20))
    area = NormalDist().cdf(1 / 3**0.5)  # N(1, 1) against N(0, 1) + N(0, 1)
    held, blind = 0, 0
    for _ in range(1000):
        inside = rng.normal(1, 1, 300)
        outside = rng.normal(0, 1, 240) + rng.normal(0, 1, 12).repeat(20)
        low, high = delong_interval(inside, outside, clusters)
        held += low <= area <= high
        low, high = delong_interval(inside, outside)
        blind += low <= area <= high
    assert held / 1000 > 0.93
    assert blind < 750


def test_separated_clusters_are_bounded_by_their_number():
    clusters = Clusters(None, np.arange(60) // 5)
    low, high = delong_interval(np.ones(100), np.zeros(60), clusters)
    assert (low, high) == (pytest.approx(0.025 ** (1 / 12)), 1)


def test_clusters_of_other_images_are_refused():
    with pytest.raises(InputError, match="one number for each of 3 images"):
        variance([1, 2, 3], [0, 1], Clusters([0, 1], None))


@given(levels, levels)
def test_no_more_images_decide_than_there_are(id_scores, ood_scores):
    found = few_decide(placements(id_scores, ood_scores))
    assert 0 <= found <= min(len(id_scores), len(ood_scores)) + 1e-9
    assert found == pytest.approx(few_decide(placements(ood_scores, id_scores)))


@pytest.mark.parametrize("wrong", [1, 3, 20])
def test_images_that_are_wrong_alike_decide_together(wrong):
    ood_scores = np.where(np.arange(1000) < wrong, 2, 0)
    assert few_decide(placements([1] * 500, ood_scores)) == pytest.approx(wrong)
    # Copies in one cluster are one.
    clusters = Clusters(None, np.arange(3000) % 1000)
    tripled = placements([1] * 500, np.tile(ood_scores, 3))
    assert few_decide(tripled, clusters) == pytest.approx(wrong)


def test_no_image_decides_where_the_classes_are_separated():
    assert few_decide(placements([1, 2], [0, 0.5])) == 0


def test_one_wrong_image_widens_the_interval_of_separated_classes_only():
    separated = delong_interval([1] * 100, [0] * 10_000)
    nearly = delong_interval([1] * 99 + [-1], [0] * 10_000)
    assert nearly.low < separated.low < 0.99 < nearly.high < separated.high
