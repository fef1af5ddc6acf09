"""Adaptation: hand values, laws, and Pillow as the twin of the resizing."""

import numpy as np
import pytest
import torch
from PIL import Image

from oodbench import InputError, Shape
from oodbench.data import adapt as module
from oodbench.data.adapt import (
    adapt,
    levels_of,
    rule,
    to_bytes,
    unit_pixels,
    unit_range,
)

rng = np.random.default_rng(0)


def noise(*shape):
    return rng.integers(0, 256, shape, dtype=np.uint8)


def test_bytes_that_fit_are_divided_by_255():
    images = noise(5, 4, 6, 3)
    expected = torch.from_numpy(images).permute(0, 3, 1, 2) / 255
    assert torch.equal(adapt(images, Shape(3, 4, 6)), expected)


def test_floats_that_fit_are_not_touched():
    images = rng.random((5, 4, 6, 1), dtype=np.float32)
    assert np.array_equal(adapt(images, Shape(1, 4, 6))[:, 0], images[..., 0])


def test_bytes_are_floats_and_back():
    levels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    floats = unit_range(levels)
    assert (floats.min(), floats.max(), floats.dtype) == (0, 1, np.float32)
    assert np.array_equal(unit_range(floats), floats)
    pixels = torch.from_numpy(floats).permute(0, 3, 1, 2)
    assert np.array_equal(to_bytes(pixels), levels)


def test_bytes_become_the_same_floats_on_the_device(device):
    images = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    levels = levels_of(images, Shape(1, 16, 16))
    assert torch.equal(
        unit_pixels(levels.to(device)).cpu(), adapt(images, Shape(1, 16, 16))
    )


@pytest.mark.parametrize("kind", [np.asarray, list])
def test_bytes_that_fit_stay_bytes_and_all_else_must_be_adapted(kind):
    images = np.random.default_rng(0).integers(0, 256, (3, 4, 6, 3), dtype=np.uint8)
    images.setflags(write=False)
    levels = levels_of(kind(images), Shape(3, 4, 6))
    assert torch.equal(unit_pixels(levels), adapt(images, Shape(3, 4, 6)))
    assert levels_of(kind(images), Shape(1, 4, 6)) is None
    assert levels_of(kind(images), Shape(3, 4, 4)) is None
    assert levels_of(kind(unit_range(images)), Shape(3, 4, 6)) is None


def test_pixels_share_no_memory_with_the_images():
    images = np.zeros((1, 2, 2, 1), np.float32)
    adapt(images, Shape(1, 2, 2)).fill_(1)
    assert images.max() == 0


def test_read_only_images_are_adapted():
    images = noise(2, 4, 4, 3)
    images.flags.writeable = False
    assert adapt(images, Shape(3, 4, 4)).shape == (2, 3, 4, 4)


@pytest.mark.parametrize(
    ("colour", "luma"),
    [
        ((255, 0, 0), 0.299),
        ((0, 255, 0), 0.587),
        ((0, 0, 255), 0.114),
        ((255, 255, 255), 1.0),
        ((51, 102, 204), 0.299 * 0.2 + 0.587 * 0.4 + 0.114 * 0.8),
    ],
)
def test_grey_is_the_luma_of_a_colour(colour, luma):
    image = np.array(colour, np.uint8).reshape(1, 1, 1, 3)
    assert adapt(image, Shape(1, 1, 1)).item() == pytest.approx(luma, abs=1e-6)


def test_grey_is_repeated_over_three_channels():
    images = noise(2, 4, 4, 1)
    pixels = adapt(images, Shape(3, 4, 4))
    for channel in range(3):
        assert torch.equal(
            pixels[:, channel : channel + 1], adapt(images, Shape(1, 4, 4))
        )


@pytest.mark.parametrize(("width", "first"), [(8, 2), (7, 1), (5, 0)])
def test_the_middle_is_cut_out_along_the_width(width, first):
    image = noise(1, 4, width, 1)
    expected = adapt(image[:, :, first : first + 4], Shape(1, 4, 4))
    assert torch.equal(adapt(image, Shape(1, 4, 4)), expected)


@pytest.mark.parametrize(("height", "first"), [(8, 2), (7, 1), (5, 0)])
def test_the_middle_is_cut_out_along_the_height(height, first):
    image = noise(1, height, 4, 1)
    expected = adapt(image[:, first : first + 4], Shape(1, 4, 4))
    assert torch.equal(adapt(image, Shape(1, 4, 4)), expected)


def test_sides_stay_in_proportion():
    ramp = np.broadcast_to(np.arange(16, dtype=np.float32) / 16, (8, 16))
    pixels = adapt(ramp[None, :, :, None], Shape(1, 4, 4))
    # Halved to 4x8 and cut to columns 2…5, whose middles were at 4.5, 6.5, 8.5, 10.5.
    expected = torch.tensor([4.5, 6.5, 8.5, 10.5]).expand(4, 4) / 16
    assert torch.allclose(pixels[0, 0], expected, atol=1e-6)


@pytest.mark.parametrize(("size", "wanted"), [(32, 8), (30, 7), (8, 32), (9, 8)])
def test_a_square_is_scaled_as_pillow_does(size, wanted):
    image = rng.random((size, size), dtype=np.float32)
    twin = Image.fromarray(image).resize((wanted, wanted), Image.Resampling.BILINEAR)
    pixels = adapt(image[None, :, :, None], Shape(1, wanted, wanted))
    assert np.allclose(pixels[0, 0], np.asarray(twin), atol=1e-5)


@pytest.mark.parametrize(
    "size", [(1, 90), (90, 1), (3, 50), (41, 38), (7, 8), (8, 7), (200, 31)]
)
@pytest.mark.parametrize("wanted", [(8, 8), (1, 1), (20, 11), (60, 40)])
@pytest.mark.parametrize("channels", [(1, 1), (3, 1), (1, 3)])
def test_a_large_image_is_adapted_in_bands_as_a_small_one_is_at_once(
    monkeypatch, size, wanted, channels
):
    image = noise(1, *size, channels[0])
    shape = Shape(channels[1], *wanted)
    expected = adapt(image, shape)
    monkeypatch.setattr(module, "WHOLE", 0)
    monkeypatch.setattr(module, "BAND", 100)
    assert torch.allclose(adapt(image, shape), expected, atol=1e-5)


@pytest.mark.parametrize("size", [(1, 200_000), (200_000, 1), (3, 70_000)])
def test_a_long_image_needs_no_more_memory_than_its_crop(monkeypatch, size):
    image = noise(1, *size, 1)
    made = []
    empty = torch.nn.functional.interpolate

    def counted(*arguments, **options):
        made.append(empty(*arguments, **options))
        return made[-1]

    monkeypatch.setattr(torch.nn.functional, "interpolate", counted)
    assert adapt(image, Shape(1, 224, 224)).shape == (1, 1, 224, 224)
    assert sum(one.numel() for one in made) <= 2 * image.size


def test_an_image_of_one_column_is_scaled_as_pillow_does():
    image = rng.random((200, 31), dtype=np.float32)
    twin = Image.fromarray(image).resize((1, 6), Image.Resampling.BILINEAR)
    pixels = adapt(image[None, :, :, None], Shape(1, 6, 1))
    assert np.allclose(pixels[0, 0], np.asarray(twin), atol=1e-5)


@pytest.mark.parametrize("size", [(3, 3), (40, 9), (9, 40), (8, 8), (500, 333)])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("value", [0, 77, 255])
def test_constant_images_stay_constant(size, channels, value):
    image = np.full((1, *size, channels), value, np.uint8)
    for wanted in (1, 3):
        pixels = adapt(image, Shape(wanted, 8, 8))
        assert torch.allclose(
            pixels, torch.full((1, wanted, 8, 8), value / 255), atol=1e-6
        )
        assert 0 <= pixels.min() <= pixels.max() <= 1


@pytest.mark.parametrize("size", [(8, 8), (12, 20), (5, 6), (31, 33)])
@pytest.mark.parametrize(("channels", "wanted"), [(1, 1), (1, 3), (3, 1), (3, 3)])
def test_a_list_is_adapted_as_the_batch_is(size, channels, wanted):
    images = noise(7, *size, channels)
    shape = Shape(wanted, 8, 8)
    assert torch.equal(adapt(list(images), shape), adapt(images, shape))


def test_a_list_may_mix_sizes_colours_and_types():
    images = [noise(9, 5, 3), noise(4, 4, 1), np.zeros((2, 7, 1), np.float32)]
    pixels = adapt(images, Shape(3, 4, 4))
    assert pixels.shape == (3, 3, 4, 4)
    assert torch.equal(pixels[:1], adapt(images[0][None], Shape(3, 4, 4)))


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((4, 4, 3), np.uint8), r"\[N, H, W, C\]"),
        (np.zeros((1, 4, 4, 4), np.uint8), "1 or 3 channels"),
        (np.zeros((1, 3, 8, 8), np.uint8), "1 or 3 channels"),
        (np.zeros((0, 4, 4, 1), np.uint8), "1 or 3 channels"),
        ([], "no images"),
        (np.zeros((1, 4, 4, 1), np.float64), "got float64"),
        (np.zeros((1, 4, 4, 1), np.int64), "got int64"),
        (np.full((1, 4, 4, 1), None), "got object"),
        (np.full((1, 4, 4, 1), 1.5, np.float32), "from 1.5 to 1.5"),
        (np.full((1, 4, 4, 1), -1, np.float32), "from -1 to -1"),
        (np.full((1, 4, 4, 1), np.nan, np.float32), "from nan to nan"),
    ],
)
def test_images_of_another_kind_are_refused(images, message):
    with pytest.raises(InputError, match=message):
        adapt(images, Shape(1, 4, 4))


def test_a_network_of_two_channels_is_refused():
    with pytest.raises(InputError, match="takes 2 channels"):
        adapt(noise(1, 4, 4, 3), Shape(2, 4, 4))


@pytest.mark.parametrize(
    ("images", "shape", "words"),
    [
        (noise(2, 8, 8, 1), Shape(1, 8, 8), "none"),
        (noise(2, 8, 8, 1), Shape(3, 8, 8), "grey to RGB"),
        (noise(2, 8, 8, 3), Shape(1, 8, 8), "RGB to BT.601 grey"),
        (noise(2, 9, 8, 3), Shape(3, 8, 8), "bilinear antialias, centre crop to 8x8"),
        (
            [noise(8, 8, 1), noise(9, 9, 3)],
            Shape(1, 8, 8),
            "bilinear antialias, centre crop to 8x8; RGB to BT.601 grey",
        ),
    ],
)
def test_the_rule_says_what_adaptation_does(images, shape, words):
    assert rule(images, shape) == words
