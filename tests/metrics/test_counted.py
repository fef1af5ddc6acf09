import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oodbench.metrics.counted import areas, units_of_differences
from oodbench.metrics.intervals import placements
from oodbench.metrics.ranking import auroc
from oodbench.metrics.significance import delong_difference, delong_differences
from oodbench.metrics.spreads import INDEPENDENT, Clusters, Placements

ALL_PAIRS = [(0, 1), (0, 2), (1, 2), (2, 1)]


def drawn(seed, n, m, decimals=9):
    """Draws the scores of three related detectors, `[3, n]` and `[3, m]`."""
    rng = np.random.default_rng(seed)
    base = rng.normal(1, 1, n), rng.normal(0, 1, m)
    return [
        (part + rng.normal(0, 0.3, (3, part.size))).round(decimals) for part in base
    ]


def placed(inside, outside):
    each = [placements(i, o) for i, o in zip(inside, outside, strict=True)]
    return Placements(*map(np.array, zip(*each, strict=True)))


def naive_sums(rows, first, second):
    """The sums of the powers of deviations, from differences in float64."""
    apart = rows[first] - rows[second]
    return [((apart - apart.mean()) ** power).sum() for power in (1, 2, 3, 4)]


@given(st.integers(0, 99), st.integers(2, 60), st.integers(2, 60), st.integers(0, 2))
def test_the_units_are_those_of_differences_in_floats(seed, n, m, decimals):
    means = placed(*drawn(seed, n, m, decimals))
    for rows, units in zip(
        means, units_of_differences(means, ALL_PAIRS, INDEPENDENT), strict=True
    ):
        for pair, (first, second) in enumerate(ALL_PAIRS):
            apart = rows[first] - rows[second]
            ends = apart.min() - apart.mean(), apart.max() - apart.mean()
            assert (units.lowest[pair], units.highest[pair]) == pytest.approx(ends)
            expected = naive_sums(rows, first, second)
            assert units.sums[:, pair] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("decimals", [9, 1, 0])
def test_neither_the_order_of_images_nor_other_detectors_change_a_bit(decimals):
    inside, outside = drawn(0, 900, 1300, decimals)
    together = delong_differences(placed(inside, outside), ALL_PAIRS)
    rng = np.random.default_rng(1)
    one, other = rng.permutation(900), rng.permutation(1300)
    shuffled = placed(inside[:, one], outside[:, other])
    assert delong_differences(shuffled, ALL_PAIRS) == together
    means = [placements(i, o) for i, o in zip(inside, outside, strict=True)]
    alone = [delong_difference(means[a], means[b]) for a, b in ALL_PAIRS]
    assert alone == together


def test_images_that_all_differ_alike_have_no_spread():
    # A constant detector gives every image the placement 1/2, a perfect one gives 1.
    means = placed([[2] * 700, [0] * 700], [[1] * 300, [0] * 300])
    for units in units_of_differences(means, [(0, 1)], INDEPENDENT):
        assert not units.sums.any()
        assert not units.largest.any()


def test_an_auroc_is_the_same_from_placements():
    inside, outside = drawn(0, 70, 110, 1)
    found = [auroc(i, o) for i, o in zip(inside, outside, strict=True)]
    assert areas(placed(inside, outside)).tolist() == found


def test_images_that_are_clusters_of_one_have_the_units_of_images():
    means = placed(*drawn(0, 50, 40))
    single = Clusters(np.arange(50), np.arange(40))
    for found, expected in zip(
        units_of_differences(means, ALL_PAIRS, single),
        units_of_differences(means, ALL_PAIRS, INDEPENDENT),
        strict=True,
    ):
        assert found.sums == pytest.approx(expected.sums, abs=1e-12)
        assert found.lowest == pytest.approx(expected.lowest)


@pytest.mark.parametrize("count", [2**20 - 1, 2**20])
def test_cubes_beyond_64_bits_are_summed_in_floats(count):
    rng = np.random.default_rng(0)
    outside = rng.normal(0, 1, (2, count))
    means = placed(rng.normal(1, 1, (2, 5)), outside)
    (units, _) = units_of_differences(means, [(0, 1)], INDEPENDENT)
    assert units.sums[:, 0] == pytest.approx(naive_sums(means.inside, 0, 1), abs=1e-12)


@pytest.mark.parametrize("count", [118, 119, 120, 400])
def test_sums_are_right_within_64_bits_and_beyond(count):
    """A perfect detector, its opposite and one that is right for half of the images."""
    half = np.arange(count) % 2
    means = placed([[1] * count, [0] * count, half], [[0] * count, [1] * count, half])
    for rows, units in zip(
        means, units_of_differences(means, ALL_PAIRS, INDEPENDENT), strict=True
    ):
        for pair, (first, second) in enumerate(ALL_PAIRS):
            expected = naive_sums(rows, first, second)
            assert units.sums[:, pair] == pytest.approx(expected, rel=1e-12, abs=1e-12)
