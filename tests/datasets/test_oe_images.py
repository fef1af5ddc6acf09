"""Outlier Exposure's validation images, by values that can be worked out by hand."""

import numpy as np
import pytest

from oodbench import InputError, Shape, Split
from oodbench.data.spec import open_dataset
from oodbench.datasets._oe_changes import jigsaw
from oodbench.datasets.oe_images import KINDS

RNG = np.random.default_rng(0)


@pytest.fixture
def colours(tmp_path):
    """Ten images 8x8 in colour, labelled 0 to 9."""
    images = RNG.integers(0, 256, (10, 8, 8, 3), np.uint8)
    np.savez(tmp_path / "colours.npz", images=images, labels=np.arange(10))
    return f"npz:{tmp_path / 'colours.npz'}", images


def load(kind, spec):
    return open_dataset(f"oe_images:{kind}:{spec}").load("test", Shape(3, 8, 8))


@pytest.mark.parametrize(("side", "part"), [(32, 8), (28, 6), (8, 2)])
def test_jigsaw_moves_every_part(side, part):
    x = RNG.random((side, side, 3), np.float32)
    half, rest = side // 2, side // 2 - part
    found = jigsaw(x, RNG)
    assert np.array_equal(found[:rest, :half], x[part:half, :half])
    assert np.array_equal(found[rest:half, :half], x[:part, :half])
    assert np.array_equal(found[:half, half:], x[half:, :half])
    assert np.array_equal(found[half:, :half], x[half:, half:])
    assert np.array_equal(found[half:, half : half + part], x[:half, side - part :])
    assert np.array_equal(found[half:, half + part :], x[:half, half : side - part])
    with pytest.raises(InputError, match="even sides, and an image is 7x8"):
        jigsaw(np.zeros((7, 8, 1), np.uint8), RNG)


def test_channels_are_moved_mirrored_and_inverted(colours):
    spec, images = colours
    red, green, blue = np.moveaxis(images, 3, 0)
    shifted = np.moveaxis(load("rgb_shift", spec).images[:], 3, 0)
    assert np.array_equal(shifted, [green[:, :, ::-1], blue, red])
    inverted = np.moveaxis(load("inversion", spec).images[:], 3, 0)
    assert np.array_equal(inverted, [red, 255 - green, 255 - blue])


def test_speckle_is_noise_in_proportion_to_the_value():
    bright = np.full((1, 200, 200, 1), 0.25, np.float32)
    found = KINDS["speckle"](Split(bright), "").images[:]
    # N(0.25, 0.25), cut at 0, one deviation below the mean, and far above at 1.
    assert np.mean(found == 0) == pytest.approx(0.1587, abs=0.01)
    assert np.median(found) == pytest.approx(0.25, abs=0.01)
    black = KINDS["speckle"](Split(0 * bright), "").images[:]
    assert not black.any()


def test_pixelated_images_are_boxes_of_means():
    x = RNG.random((1, 10, 10, 1), np.float32)
    found = KINDS["pixelate"](Split(x), "").images[:][0, ..., 0]
    boxes = x[0, ..., 0].reshape(2, 5, 2, 5).mean((1, 3))
    np.testing.assert_allclose(found, boxes.repeat(5, 0).repeat(5, 1), atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "mean"),
    [
        ("arithmetic_mean", lambda x, y: (x + y) / 2),
        ("geometric_mean", lambda x, y: np.sqrt(x * y)),
    ],
)
def test_each_image_is_joined_with_another_one(colours, kind, mean):
    spec, images = colours
    x = images / np.float32(255)
    found = load(kind, spec).images[:]
    assert len(found) == 10
    for number, image in enumerate(found):
        others = [n for n in range(10) if np.allclose(image, mean(x[number], x[n]))]
        assert len(others) == 1
        assert others != [number]


def test_digits_are_mirrored_unless_they_remain_digits(colours):
    spec, images = colours
    split = load("mirrored", spec)
    upright, sideways = [2, 4, 5, 6, 7, 9], [2, 3, 4, 5, 6, 7, 9]
    expected = [*images[upright][:, ::-1], *images[sideways][:, :, ::-1]]
    assert np.array_equal(split.images[:], expected)
    assert split.clusters.tolist() == upright + sideways
    with pytest.raises(InputError, match="needs all ten digits"):
        load("mirrored", "digits:0-7")


@pytest.mark.parametrize("kind", KINDS)
def test_images_have_no_labels_and_are_those_of_every_run(colours, kind):
    spec, _ = colours
    first, again = load(kind, spec), load(kind, spec)
    assert first.labels is None
    assert np.array_equal(first.images[:], again.images[:])
    assert np.array_equal(first.images[3:5], first.images[:][3:5])
    assert not np.array_equal(first.images[3:4], first.images[4:5])


def test_grey_images_have_no_colours_to_change(colours):
    for kind in ("rgb_shift", "inversion"):
        with pytest.raises(InputError, match=f"{kind} changes colours, and the images"):
            load(kind, "digits:0-7").images[:2]


@pytest.mark.parametrize("kind", ["jigsaw", "mirrored", "arithmetic_mean"])
def test_kinds_and_sets_that_are_missing_are_named(kind):
    with pytest.raises(InputError, match=f"oe_images:{kind} needs a set"):
        open_dataset(f"oe_images:{kind}")
    with pytest.raises(InputError, match=f"did you mean '{kind}'"):
        open_dataset(f"oe_images:{kind}s:digits")


def test_roles_are_those_of_changed_sets():
    inside = open_dataset("digits:0-7")
    for text, role in (("digits:0-7", "probe"), ("photos", "unstated")):
        found = open_dataset(f"oe_images:jigsaw:{text}").relative_to(inside)
        assert found.role == role
