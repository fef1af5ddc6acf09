import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oodbench.calibration import accuracy, expected_calibration_error, summary
from oodbench.errors import InputError

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


def test_a_constant_and_true_confidence_has_no_error():
    assert expected_calibration_error([0.75] * 4, [1, 1, 1, 0]) == 0


def test_sure_and_wrong_has_the_largest_error():
    assert expected_calibration_error([1.0, 1.0], [False, False]) == 1


@given(images, st.randoms())
def test_the_order_of_images_does_not_matter(images, random):
    shuffled = random.sample(images, len(images))
    one, other = (
        expected_calibration_error(*np.array(order).T) for order in (images, shuffled)
    )
    assert one == pytest.approx(other, abs=1e-12)


def test_summary_of_an_example_by_hand():
    assert summary(
        [0, 1, 1, 0],
        [0, 1, 0, 1],
        confidence=[0.9, 0.9, 0.6, 0.6],
        nll=[0.1, 0.1, 0.9, 0.9],
        brier=[0.02, 0.02, 0.72, 0.72],
    ) == pytest.approx({"accuracy": 0.5, "nll": 0.5, "brier": 0.37, "ece": 0.35})


@pytest.mark.parametrize("outside", [-0.1, 1.0001, 87.0])
def test_confidence_outside_0_to_1_is_refused(outside):
    with pytest.raises(InputError, match=f"1 of 2 places, first at index 1: {outside}"):
        expected_calibration_error([0.5, outside], [1, 1])


def test_columns_of_different_lengths_are_refused():
    with pytest.raises(InputError, match="not labels 2, predictions 3"):
        accuracy([0, 1], [0, 1, 2])


def test_empty_and_not_finite_columns_are_refused():
    with pytest.raises(InputError, match="labels is empty"):
        accuracy([], [])
    with pytest.raises(InputError, match=r"nll has NaN .* 1 of 2 places, .* index 1"):
        summary([0, 1], [0, 1], confidence=[1, 1], nll=[0, np.nan], brier=[0, 0])
