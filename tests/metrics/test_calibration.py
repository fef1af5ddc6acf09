import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from oodbench import InputError
from oodbench.metrics.calibration import (
    accuracy,
    accuracy_intervals,
    adaptive_calibration_error,
    expected_calibration_error,
    reliability,
    summary,
)

ERRORS = [expected_calibration_error, adaptive_calibration_error]
images = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=50)


def naive_ece(confidence, correct, bins):
    """Guo et al.'s definition, one (lo, hi] after the other; 0 belongs to the first."""
    error = 0.0
    for k in range(bins):
        inside = (confidence > k / bins) & (confidence <= (k + 1) / bins)
        inside |= (confidence == 0) & (k == 0)
        if inside.any():
            gap = correct[inside].mean() - confidence[inside].mean()
            error += inside.mean() * abs(gap)
    return error


def naive_adaptive_error(confidence, correct, bins):
    """Cuts images into `bins` parts, those of one confidence as right as their mean."""
    order = np.argsort(confidence)
    shared = [correct[confidence == value].mean() for value in confidence[order]]
    gaps = np.repeat(confidence[order] - shared, bins)
    return sum(abs(part.sum()) for part in np.split(gaps, bins)) / gaps.size


@given(images, st.sampled_from([1, 2, 10, 15, 20]))
def test_ece_is_the_sum_over_bins(images, bins):
    confidence, correct = np.array(images).T
    assert expected_calibration_error(confidence, correct, bins=bins) == pytest.approx(
        naive_ece(confidence, correct, bins), abs=1e-12
    )


@pytest.mark.parametrize("k", range(1, 20))
def test_an_edge_belongs_to_the_bin_below(k):
    edge = k / 20
    above = np.nextafter(edge, 1)
    # In one bin the two gaps would cancel; edge and above it, they add up.
    apart = expected_calibration_error([edge, above], [0, 1])
    assert apart == pytest.approx((edge + 1 - above) / 2)
    together = expected_calibration_error([edge, edge - 0.01], [0, 1])
    assert together == pytest.approx(abs(2 * edge - 0.01 - 1) / 2)


def test_confidence_0_and_1_are_in_the_outer_bins():
    assert expected_calibration_error([0, 0.05], [1, 0]) == pytest.approx(0.475)
    assert expected_calibration_error([1, 0.96], [0, 1]) == pytest.approx(0.48)


@pytest.mark.parametrize("error", ERRORS)
def test_a_constant_and_true_confidence_has_no_error(error):
    assert error([0.75] * 4, [1, 1, 1, 0]) == 0


@pytest.mark.parametrize("error", ERRORS)
def test_sure_and_wrong_has_the_largest_error(error):
    assert error([1.0, 1.0], [False, False]) == 1


@pytest.mark.parametrize("error", ERRORS)
@given(images, st.randoms())
def test_the_order_of_images_does_not_matter(error, images, random):
    shuffled = random.sample(images, len(images))
    one, other = (error(*np.array(order).T) for order in (images, shuffled))
    assert one == pytest.approx(other, abs=1e-12)


@pytest.mark.parametrize("error", ERRORS)
@given(images)
def test_no_bins_hide_that_the_mean_confidence_is_wrong(error, images):
    confidence, correct = np.array(images).T
    overall = abs(confidence.mean() - correct.mean())
    assert error(confidence, correct, bins=1) == pytest.approx(overall, abs=1e-12)
    assert overall - 1e-12 <= error(confidence, correct) <= 1


@given(images, st.sampled_from([1, 2, 10, 15, 20]))
def test_bins_of_the_adaptive_error_hold_equal_parts_of_the_images(images, bins):
    confidence, correct = np.array(images).T
    assert adaptive_calibration_error(confidence, correct, bins=bins) == pytest.approx(
        naive_adaptive_error(confidence, correct, bins), abs=1e-12
    )


def test_adaptive_error_of_an_example_by_hand():
    # Gaps of 0.1 and 0.3 in one bin, of -0.3 and 0.9 in the other.
    error = adaptive_calibration_error([0.9, 0.1, 0.7, 0.3], [0, 0, 1, 0], bins=2)
    assert error == pytest.approx((0.4 + 0.6) / 4)
    # Alike but for the label: no bin may hold the right ones alone.
    error = adaptive_calibration_error([0.9] * 4, [1, 1, 0, 0], bins=4)
    assert error == pytest.approx(0.4)


@given(images)
def test_images_seen_twice_leave_the_adaptive_error_as_it_is(images):
    once = adaptive_calibration_error(*np.array(images).T)
    assert adaptive_calibration_error(*np.array(images * 2).T) == pytest.approx(
        once, abs=1e-12
    )


def test_bins_hold_all_images_with_their_confidence():
    bins = reliability([0, 0.2, 0.25, 0.5, 1], [True, False, True, False, True], bins=4)
    assert bins.images.tolist() == [3, 1, 0, 1]
    assert bins.correct.tolist() == [2, 0, 0, 1]
    assert bins.expected == pytest.approx([0.45, 0.5, 0, 1])


def test_intervals_of_accuracy_are_those_of_the_exact_binomial_test():
    counts = [(0, 1), (1, 1), (0, 7), (7, 7), (3, 7), (90, 100)]
    confidence = np.repeat((np.arange(len(counts)) + 0.5) / 10, [n for _, n in counts])
    correct = np.concatenate([np.arange(n) < k for k, n in counts])
    low, high = accuracy_intervals(reliability(confidence, correct, bins=10), level=0.9)
    for index, (right, images) in enumerate(counts):
        expected = binomtest(right, images).proportion_ci(0.9, method="exact")
        assert (low[index], high[index]) == pytest.approx(tuple(expected))
    assert low[len(counts) :].tolist() == [0] * 4
    assert high[len(counts) :].tolist() == [1] * 4


def test_summary_of_an_example_by_hand():
    assert summary(
        [0, 1, 1, 0],
        [0, 1, 0, 1],
        confidence=[0.9, 0.9, 0.6, 0.6],
        nll=[0.1, 0.1, 0.9, 0.9],
        brier=[0.02, 0.02, 0.72, 0.72],
    ) == pytest.approx(
        # Gaps of 2 · 0.9 - 2 and 2 · 0.6 - 0 images; the adaptive bins part them too.
        {"accuracy": 0.5, "nll": 0.5, "brier": 0.37, "ece": 0.35, "adaptive_ece": 0.35}
    )


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("outside", [-0.1, 1.0001, 87.0])
def test_confidence_outside_0_to_1_is_refused(error, outside):
    with pytest.raises(InputError, match=f"1 of 2 places, first at index 1: {outside}"):
        error([0.5, outside], [1, 1])


def test_columns_of_different_lengths_are_refused():
    with pytest.raises(InputError, match="not labels 2, predictions 3"):
        accuracy([0, 1], [0, 1, 2])


def test_empty_and_not_finite_columns_are_refused():
    with pytest.raises(InputError, match="labels is empty"):
        accuracy([], [])
    with pytest.raises(InputError, match=r"nll has NaN .* 1 of 2 places, .* index 1"):
        summary([0, 1], [0, 1], confidence=[1, 1], nll=[0, np.nan], brier=[0, 0])


def test_a_masked_label_makes_the_mean_nll_infinite_and_nothing_else():
    columns = {"confidence": [0.75, 0.5], "brier": [0, 2]}
    found = summary([0, 1], [0, 0], nll=[0.25, np.inf], **columns)
    expected = summary([0, 1], [0, 0], nll=[0.25, 1], **columns)
    assert found == expected | {"nll": np.inf}
