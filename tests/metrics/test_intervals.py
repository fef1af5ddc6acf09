from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oodbench import InputError
from oodbench.metrics.intervals import (
    Clusters,
    delong_interval,
    delong_variance,
    placements,
    spread,
)
from oodbench.metrics.ranking import auroc

levels = st.lists(st.integers(0, 9), min_size=2, max_size=30)


def normal(n, mean):
    return np.random.default_rng(n).normal(mean, 1, n)


def naive_variance(id_scores, ood_scores):
    """The structural components of DeLong et al., from the matrix of all pairs."""
    id_scores, ood_scores = np.array(id_scores)[:, None], np.array(ood_scores)
    order = (id_scores > ood_scores) + (id_scores == ood_scores) / 2
    v10, v01 = order.mean(axis=1), order.mean(axis=0)
    return np.var(v10, ddof=1) / v10.size + np.var(v01, ddof=1) / v01.size


@given(levels, levels)
def test_the_variance_is_that_of_all_pairs(id_scores, ood_scores):
    assert delong_variance(id_scores, ood_scores) == pytest.approx(
        naive_variance(id_scores, ood_scores), abs=1e-12
    )


def test_the_interval_is_symmetric_on_the_logit_scale():
    id_scores, ood_scores = normal(50, 1), normal(70, 0)
    area, interval = (
        auroc(id_scores, ood_scores),
        delong_interval(id_scores, ood_scores),
    )
    logit = np.log(np.divide(interval, np.subtract(1, interval)))
    assert logit.mean() == pytest.approx(np.log(area / (1 - area)))
    error = np.sqrt(naive_variance(id_scores, ood_scores)) / (area * (1 - area))
    assert np.ptp(logit) == pytest.approx(2 * 1.959964 * error, rel=1e-6)


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
    assert delong_variance(*pair) == np.inf
    assert delong_interval(*pair) == (0, 1)


@pytest.mark.parametrize("level", [0, 1, 95, np.nan])
def test_a_level_outside_0_to_1_is_refused(level):
    with pytest.raises(InputError, match=f"level of {level} "):
        delong_interval([1, 2], [0, 1], level=level)


@pytest.mark.parametrize("function", [delong_variance, delong_interval])
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
    assert delong_variance(id_scores, ood_scores, singles) == pytest.approx(
        delong_variance(id_scores, ood_scores), abs=1e-12
    )


def test_copies_of_images_in_clusters_change_neither_variance_nor_freedom():
    id_scores, ood_scores = normal(30, 1), normal(20, 0)
    once = Clusters(np.arange(30), np.arange(20))
    found = spread(placements(id_scores, ood_scores), once)
    thrice = spread(
        placements(np.repeat(id_scores, 3), np.repeat(ood_scores, 3)),
        Clusters(*(np.repeat(labels, 3) for labels in once)),
    )
    assert thrice == pytest.approx(found)
    # Satterthwaite's lies between that of the smaller class and that of both.
    assert 19 <= found.freedom <= 48


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
    assert held / 1000 == pytest.approx(0.95, abs=0.025)
    assert blind < 700


def test_separated_clusters_are_bounded_by_their_number():
    clusters = Clusters(None, np.arange(60) // 5)
    low, high = delong_interval(np.ones(100), np.zeros(60), clusters)
    assert (low, high) == (pytest.approx(0.025 ** (1 / 12)), 1)


def test_clusters_of_other_images_are_refused():
    with pytest.raises(InputError, match="one number for each of 3 images"):
        delong_variance([1, 2, 3], [0, 1], Clusters([0, 1], None))
