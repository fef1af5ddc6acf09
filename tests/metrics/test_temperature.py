import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from oodbench import InputError
from oodbench.metrics.calibration import (
    adaptive_calibration_error,
    expected_calibration_error,
)
from oodbench.metrics.temperature import fit_temperature, grade

random_logits = arrays(np.float64, (12, 3), elements=st.integers(-20, 20))
random_labels = arrays(np.int64, 12, elements=st.integers(0, 2))


def mixture(count, seed=0):
    """Draws from five Gaussians in the plane; returns log p(y, x) and y.

    Their softmax is the posterior, hence calibrated.
    """
    rng = np.random.default_rng(seed)
    means, weights = rng.normal(0, 1.5, (5, 2)), np.array([0.1, 0.15, 0.2, 0.25, 0.3])
    labels = rng.choice(5, count, p=weights)
    points = means[labels] + rng.normal(size=(count, 2))
    distances = np.square(points[:, None] - means).sum(2)
    return np.log(weights) - distances / 2, labels


def likely_error(confidence, bins=20):
    """Returns a bound on the ECE of calibrated confidences: mean and four deviations.

    The gap of a bin is about normal; its variance is the sum of c (1 - c) over the bin.
    """
    index = np.minimum((confidence * bins).astype(int), bins - 1)
    variance = np.bincount(index, weights=confidence * (1 - confidence))
    mean = np.sqrt(variance * 2 / math.pi).sum()
    deviation = math.sqrt(variance.sum() * (1 - 2 / math.pi))
    return (mean + 4 * deviation) / confidence.size


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("temperature", [0.2, 1, 7.5])
def test_a_known_temperature_is_found(temperature, seed):
    logits, labels = mixture(20_000, seed)
    found = fit_temperature(temperature * logits, labels)
    # The standard error of 1 / T is that of maximum likelihood.
    posterior = softmax(logits, axis=1)
    mean = (posterior * logits).sum(1)
    information = (posterior * np.square(logits - mean[:, None])).sum()
    assert abs(temperature / found - 1) < 4 / math.sqrt(information)


@pytest.mark.parametrize(
    "error", [expected_calibration_error, adaptive_calibration_error]
)
def test_scaling_makes_an_overconfident_posterior_true(error):
    logits, labels = mixture(40_000)
    logits = 3 * logits
    fitted, graded = slice(0, 20_000), slice(20_000, None)
    temperature = fit_temperature(logits[fitted], labels[fitted])
    before = grade(logits[graded], labels[graded])
    after = grade(logits[graded], labels[graded], temperature=temperature)
    assert error(*after[:2]) < likely_error(after.confidence) < 0.02
    assert error(*before[:2]) > 0.1
    for name in ("nll", "brier"):
        assert after.values[name] < before.values[name]


def test_confidence_of_the_posterior_is_its_accuracy():
    graded = grade(*mixture(20_000))
    gap = graded.confidence.mean() - graded.values["accuracy"]
    deviation = math.sqrt((graded.confidence * (1 - graded.confidence)).sum())
    assert abs(gap) < 4 * deviation / 20_000
    assert graded.values["ece"] < likely_error(graded.confidence)
    assert graded.values["adaptive_ece"] < likely_error(graded.confidence)


@given(random_logits, random_labels)
def test_no_other_temperature_has_a_lower_nll(logits, labels):
    try:
        temperature = fit_temperature(logits, labels)
    except InputError:
        return
    rows = np.arange(len(labels))

    def nll(inverse):
        return -log_softmax(inverse * logits, axis=1)[rows, labels].mean()

    lowest = nll(1 / temperature)
    for factor in (0, 0.5, 0.99, 1.01, 2, temperature):
        assert lowest <= nll(factor / temperature) + 1e-12


@given(st.integers(0, 9), st.sampled_from([1e-6, 0.3, 1, 2, 1e6]))
def test_temperature_scales_with_the_logits(seed, scale):
    logits, labels = mixture(50, seed)
    expected = scale * fit_temperature(logits, labels)
    found = fit_temperature(scale * logits, labels)
    assert found == pytest.approx(expected, rel=1e-9)


@given(arrays(np.float64, 50, elements=st.floats(-100, 100)))
def test_a_constant_added_to_the_logits_of_an_image_changes_nothing(constants):
    logits, labels = mixture(50)
    shifted = logits + constants[:, None]
    assert fit_temperature(shifted, labels) == pytest.approx(
        fit_temperature(logits, labels), rel=1e-9
    )
    assert grade(shifted, labels).values == pytest.approx(grade(logits, labels).values)


@given(random_logits, random_labels, st.floats(1e-3, 1e3))
def test_no_temperature_changes_a_prediction(logits, labels, temperature):
    one, other = grade(logits, labels), grade(logits, labels, temperature=temperature)
    assert one.correct.tolist() == other.correct.tolist()
    assert one.values["accuracy"] == other.values["accuracy"]


def test_grades_of_an_example_by_hand():
    logits, labels = np.log([[3, 1], [3, 1], [1, 9], [1, 9]]), [0, 1, 1, 1]
    found = grade(logits, labels)
    assert found.confidence == pytest.approx([0.75, 0.75, 0.9, 0.9])
    assert found.correct.tolist() == [True, False, True, True]
    assert found.values == pytest.approx(
        {
            "accuracy": 3 / 4,
            "nll": math.log(4 / 3 * 4 * (10 / 9) ** 2) / 4,
            "brier": 2 * (0.25**2 + 0.75**2 + 0.1**2 + 0.1**2) / 4,
            "ece": (0.5 + 0.2) / 4,
            "adaptive_ece": (0.5 + 0.2) / 4,
        }
    )
    # At temperature 2 the odds are the square roots.
    sure = grade(logits, labels, temperature=2).confidence
    assert sure[2] == pytest.approx(3 / 4)


def test_images_that_are_all_right_have_no_best_temperature():
    with pytest.raises(InputError, match=r"^All 2 predictions .* more images, some"):
        fit_temperature([[2, 1], [0, 3]], [0, 1])
    # One that is wrong by however little is enough.
    assert 0 < fit_temperature([[2, 1], [0, 3], [1e-9, 0]], [0, 1, 1]) < 0.1


@pytest.mark.parametrize("logits", [[[2, 1], [0, 3]], np.zeros((2, 2))])
def test_logits_that_tell_nothing_have_no_best_temperature(logits):
    with pytest.raises(InputError, match=r"^The logits predict the 2 .* no better"):
        fit_temperature(logits, [1, 0])


@pytest.mark.parametrize("function", [fit_temperature, grade])
@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        ([1, 2], [0, 1], r"not \[2\] and \[2\]"),
        ([[1, 2]], [0, 1], r"not \[1, 2\] and \[2\]"),
        (np.zeros((0, 3)), np.zeros(0, int), r"not \[0, 3\] and \[0\]"),
        ([[1, 2], [0, math.nan]], [0, 1], "for 1 of 2 images, first for image 1"),
        ([[1, 2], [0, math.inf]], [0, 1], r"NaN or \+inf for 1 of 2 images"),
        ([[1, 2], [-math.inf] * 2], [0, 1], "All logits are -inf for 1 of 2 images"),
        ([[1, 2]], [2], "from 0 to 1; they go from 2 to 2"),
        ([[1, 2]], [-1], "from 0 to 1; they go from -1 to -1"),
        ([[1, 2]], [0.5], "class numbers from 0 to 1"),
    ],
)
def test_other_things_than_logits_and_labels_are_refused(
    function, logits, labels, message
):
    with pytest.raises(InputError, match=message):
        function(logits, labels)


@pytest.mark.parametrize("temperature", [0.5, 1, 3])
def test_a_masked_class_is_as_if_the_network_did_not_have_it(temperature):
    logits, labels = mixture(500)
    masked = np.insert(logits, [0, 2], -np.inf, axis=1)
    places = np.array([1, 2, 4, 5, 6])[labels]
    found = grade(masked, places, temperature=temperature)
    expected = grade(logits, labels, temperature=temperature)
    assert found.values == pytest.approx(expected.values)
    assert fit_temperature(temperature * masked, places) == pytest.approx(
        fit_temperature(temperature * logits, labels)
    )


def test_classes_that_are_masked_in_some_images_only_have_a_temperature():
    logits, labels = mixture(500)
    some = np.random.default_rng(0).random(logits.shape) < 0.3
    some[np.arange(500), labels] = False
    masked = np.where(some, -np.inf, logits)
    finite = np.where(some, -1e4, logits)
    expected = minimize_scalar(
        lambda log: grade(finite, labels, temperature=math.exp(log)).values["nll"],
        bounds=(-2, 2),
        method="bounded",
        options={"xatol": 1e-9},
    )
    assert fit_temperature(masked, labels) == pytest.approx(
        math.exp(expected.x), rel=1e-5
    )


def test_a_masked_label_has_an_infinite_nll_and_no_temperature():
    logits = [[1, -math.inf], [0, 1], [2, 0]]
    values = grade(logits, [1, 1, 0]).values
    assert values["nll"] == math.inf
    assert values["brier"] == pytest.approx(
        (2 + 2 * (1 / (1 + math.e)) ** 2 + 2 * (1 / (1 + math.e**2)) ** 2) / 3
    )
    with pytest.raises(InputError, match=r"own logit is -inf for 1 of 3 .* image 0"):
        fit_temperature(logits, [1, 1, 0])
