"""Laws of the pictures that grids of images make."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from oodbench.data.adapt import to_bytes
from oodbench.data.image_png import GAP, png_grid, png_rows


def decoded(png):
    with Image.open(io.BytesIO(png)) as image:
        return np.asarray(image)


def some(count, channels=3, side=8, seed=0):
    generator = torch.Generator().manual_seed(seed)
    levels = torch.randint(
        256, (count, channels, side, side), generator=generator, dtype=torch.uint8
    )
    return levels.float() / 255


@pytest.mark.parametrize(("side", "factor"), [(8, 6), (28, 2), (32, 2), (64, 1)])
def test_a_grid_holds_every_pixel_as_a_square(side, factor):
    pixels = some(5, side=side)
    sheet, edge = decoded(png_grid(pixels, columns=2)), side * factor
    assert sheet.shape == (3 * edge + 4 * GAP, 2 * edge + 3 * GAP, 3)
    for number, image in enumerate(to_bytes(pixels)):
        y, x = (GAP + place * (edge + GAP) for place in divmod(number, 2))
        shown = sheet[y : y + edge, x : x + edge]
        assert (shown == image.repeat(factor, 0).repeat(factor, 1)).all()
    # What is left of the last row, and the gaps, are white.
    assert (sheet[-edge - GAP :, edge + 2 * GAP :] == 255).all()
    assert (sheet[:GAP] == 255).all()


def test_grey_images_have_three_equal_channels():
    sheet = decoded(png_grid(some(4, channels=1)))
    assert (sheet == sheet[..., :1]).all()


def test_a_grid_is_square_unless_told_its_columns():
    height, width, _ = decoded(png_grid(some(9))).shape
    assert height == width == 3 * 48 + 4 * GAP


def test_pixels_are_cut_to_0_and_1_and_rounded():
    pixels = torch.tensor([-3.0, 0.0, 0.4 / 255, 0.6 / 255, 1.0, 7.0]).view(1, 1, 1, 6)
    assert to_bytes(pixels).flatten().tolist() == [0, 0, 0, 1, 255, 255]


def test_equal_images_give_equal_bytes():
    assert png_grid(some(6)) == png_grid(some(6))
    assert png_grid(some(6)) != png_grid(some(6, seed=1))


@pytest.mark.parametrize(
    "words",
    [
        {"title": "a title that is wider than all of the images below it together"},
        {"heads": ["0", "1", "400"]},
        {"names": ["first", "second"]},
        {"captions": [["0.1", "0.2", "0.3"], ["0.4"]]},
    ],
)
def test_words_make_room_for_themselves_and_cover_no_image(words):
    black = torch.zeros(4, 1, 8, 8)
    rows = [black[:3], black[3:]]
    bare, told = (decoded(png_rows(rows, **each)) for each in ({}, words))
    assert told.size > bare.size
    # All black squares are whole: words add dark pixels and take none.
    whole = np.lib.stride_tricks.sliding_window_view(told[..., 0], (48, 48))
    assert (whole.max(axis=(2, 3)) == 0).sum() == 4
    assert (told == 0).sum() > (bare == 0).sum()
