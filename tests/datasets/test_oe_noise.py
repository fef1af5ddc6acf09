"""The noise of Outlier Exposure: its values, and that it depends on the place alone."""

import numpy as np
import pytest

from oodbench import InputError, Shape
from oodbench.data.spec import open_dataset
from oodbench.datasets.oe_noise import CIFAR_MEAN, CIFAR_STD, KINDS, blob

COLOUR = Shape(3, 32, 32)


def images(kind, shape=COLOUR):
    return open_dataset(f"oe_noise:{kind}").load("test", shape).images[0:40]


@pytest.mark.parametrize("kind", KINDS)
def test_images_are_pixels_that_depend_on_their_place_alone(kind):
    found = open_dataset(f"oe_noise:{kind}").load("test", COLOUR).images
    assert len(found) == 20_000
    first = found[0:3]
    assert first.dtype == np.float32
    assert first.shape == (3, 32, 32, 3)
    assert first.min() >= 0
    assert first.max() <= 1
    assert np.array_equal(found[2:3][0], first[2])
    assert not np.array_equal(first[0], first[1])


@pytest.mark.parametrize(("kind", "mean", "low"), [("gaussian", 0.5, 0.1587)])
def test_gaussian_noise_is_cut_at_one_deviation(kind, mean, low):
    found = images(kind)
    assert found.mean() == pytest.approx(mean, abs=0.01)
    assert np.mean(found == 0) == pytest.approx(low, abs=0.01)


def test_bernoulli_noise_has_two_values():
    found = images("bernoulli", shape=Shape(1, 28, 28))
    assert set(np.unique(found)) == {0, 1}
    assert found.mean() == pytest.approx(0.5, abs=0.01)


def test_blobs_are_smooth_and_hold_what_is_above_three_quarters():
    found = images("blob")
    assert set(np.unique(found[found < 0.75])) == {0}
    assert 0.1 < np.mean(found > 0) < 0.5


@pytest.mark.parametrize(
    ("kind", "deviation"), [("gaussian", 0.4797), ("rademacher", 1), ("blob", None)]
)
def test_behind_the_normalisation_of_cifar_noise_is_in_minus_one_to_one(
    kind, deviation
):
    normalised = (images(f"cifar-{kind}") - CIFAR_MEAN) / CIFAR_STD
    assert np.abs(normalised).max() <= 1 + 1e-5
    if deviation is not None:  # 0.4797: a normal one of 0.5 that is cut to [−1, 1]
        assert normalised.std() == pytest.approx(deviation, abs=0.01)
        assert normalised.mean() == pytest.approx(0, abs=0.01)


def test_an_unknown_kind_is_refused():
    with pytest.raises(InputError, match="did you mean 'gaussian'"):
        open_dataset("oe_noise:gausian")


def blurred(image):
    """Blurs along all axes, edges repeated, by weights up to 4 deviations away."""
    places = np.arange(-6, 7)
    weights = np.exp(-(places**2) / (2 * 1.5**2))
    weights /= weights.sum()
    for axis, length in enumerate(image.shape):
        shifted = [
            image.take(np.clip(np.arange(length) + place, 0, length - 1), axis)
            for place in places
        ]
        image = np.tensordot(weights, shifted, 1)
    return image


def test_blobs_are_blurred_over_colours_too():
    size = (9, 7, 3)
    expected = blurred(np.random.default_rng(5).binomial(1, 0.7, size).astype(float))
    expected[expected < 0.75] = 0
    assert 0.1 < (expected == 0).mean() < 0.9
    found = blob(np.random.default_rng(5), size)
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_noise_for_cifar_needs_colours():
    split = open_dataset("oe_noise:cifar-blob").load("test", Shape(1, 28, 28))
    with pytest.raises(InputError, match="has 3 channels, and the network takes 1"):
        split.images[0:1]
