"""Thresholds with a certified risk: the bound, ties, and simulated calibrations."""

import numpy as np
import pytest
from scipy import stats

from oodbench import InputError
from oodbench.metrics.selective_threshold import COVERAGES, selective_threshold


def test_the_bound_is_clopper_and_pearsons():
    right = np.arange(1000) >= 100
    right[[500, 900]] = False
    found = selective_threshold(np.arange(1000), right, 0.05, delta=0.1)
    assert (found.accepted, found.wrong) == (899, 1 + 1)
    exact = stats.binomtest(2, 899, alternative="less")
    level = 1 - 0.1 / COVERAGES
    assert found.risk == pytest.approx(exact.proportion_ci(level).high)
    assert np.count_nonzero(np.arange(1000) >= found.value) == 899


def test_only_images_above_the_one_that_sets_the_threshold_count():
    found = selective_threshold([0.0] * 100 + [1.0] * 300, [True] * 400, 0.05)
    assert found.accepted == 300
    assert 0 < found.value < 1e-300


def wrong_everywhere(score):
    return np.full_like(score, 0.1001)


def wrong_below(score):
    return 0.4 * (1 - score)


@pytest.mark.parametrize("n", [200, 2000])
@pytest.mark.parametrize("wrong", [wrong_everywhere, wrong_below])
def test_at_most_delta_of_simulated_calibrations_violate_the_risk(n, wrong):
    rng = np.random.default_rng(0)
    places = (np.arange(10000) + 0.5) / 10000
    certified = violations = 0
    for scores in rng.random((1000, n)):
        right = rng.random(n) >= wrong(scores)
        try:
            found = selective_threshold(scores, right, 0.1, delta=0.1)
        except InputError:
            continue
        certified += 1
        violations += wrong(places[places >= found.value]).mean() > 0.1
    assert violations <= 0.1 * 1000
    assert certified > 0
    if wrong is wrong_below and n == 2000:
        assert certified > 990  # and the guarantee is not an empty one


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1, 2], [True], 0.1), "give one value per image"),
        (([1, 2], [True, True], 1.5), "risk must be between"),
        (([1, 2], [True, True], 0.1), "certifies a risk of 0.1"),
        (([1, np.nan], [True, True], 0.1), "NaN"),
    ],
)
def test_what_cannot_be_certified_is_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        selective_threshold(*arguments)


def test_delta_must_be_a_share():
    with pytest.raises(InputError, match="delta must be between"):
        selective_threshold([1, 2], [True, True], 0.1, delta=0)
