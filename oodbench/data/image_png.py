"""Lays small images out on a grid, with a few words around them, as a PNG file."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from oodbench.data.adapt import to_bytes

GAP, LINE, LETTERS = 2, 16, 12
"""Pixels between images, and the heights of a line of text and of its letters."""
SIDE = 48
"""The least number of pixels of an image's shorter side, after enlargement."""


def png_grid(pixels: Tensor, columns: int | None = None) -> bytes:
    """Returns a PNG file of images row by row.

    Small images are enlarged by a whole factor, each pixel to a square; nothing is
    interpolated. Equal images give equal bytes.

    Args:
        pixels: `[N, C, H, W]` of 1 or 3 channels, N at least 1; values are cut to
            [0, 1] and rounded to 8 bits.
        columns: By default as many as rows.
    """
    columns = columns or math.ceil(math.sqrt(len(pixels)))
    return png_rows(pixels.split(columns))


def png_rows(
    rows: Sequence[Tensor],
    *,
    title: str = "",
    heads: Sequence[str] = (),
    names: Sequence[str] = (),
    captions: Sequence[Sequence[str]] = (),
) -> bytes:
    """Returns a PNG file of rows of images, as `png_grid` draws them, with text.

    Args:
        rows: `[N, C, H, W]` each, of any N.
        title: A line above everything.
        heads: Texts above the columns.
        names: Texts left of the rows.
        captions: For each row, the texts below its images.
    """
    tiles = [[_tile(pixels) for pixels in row] for row in rows]
    height, width = next(tile.shape[:2] for row in tiles for tile in row)
    # A caption stands nearer to its own image than to others.
    apart, below = (8 * GAP, LINE + 2 * GAP) if captions else (GAP, 0)
    left = GAP + max((_width(name) + 2 * GAP for name in names), default=0)
    top = GAP + LINE * bool(title) + LINE * bool(heads)
    xs = [left + column * (width + apart) for column in range(max(map(len, tiles)))]
    ys = [top + row * (height + below + GAP) for row in range(len(tiles))]
    wide = max(xs[-1] + width, GAP + _width(title)) + GAP
    sheet = Image.new("RGB", (wide, ys[-1] + height + below + GAP), "white")
    for y, row in zip(ys, tiles, strict=True):
        for x, tile in zip(xs, row, strict=False):
            sheet.paste(Image.fromarray(tile), (x, y))
    pen = ImageDraw.Draw(sheet)
    middles = [x + width / 2 for x in xs]
    _write(pen, [title], [(GAP, LINE / 2)], "lm")
    _write(pen, heads, [(x, top - LINE / 2) for x in middles])
    _write(pen, names, [(left - 2 * GAP, y + height / 2) for y in ys], "rm")
    for y, texts in zip(ys, captions, strict=False):
        _write(pen, texts, [(x, y + height + LINE / 2) for x in middles])
    sheet.save(file := io.BytesIO(), "png")
    return file.getvalue()


def _tile(pixels: Tensor) -> NDArray[np.uint8]:
    """Returns an image `[C, H, W]` enlarged, in colour, `[h, w, 3]`."""
    image = to_bytes(pixels[None])[0]
    factor = math.ceil(SIDE / min(image.shape[:2]))
    colours = np.broadcast_to(image, (*image.shape[:2], 3))
    return colours.repeat(factor, 0).repeat(factor, 1)


def _write(
    pen: ImageDraw.ImageDraw,
    texts: Sequence[str],
    places: Sequence[tuple[float, float]],
    anchor: str = "mm",
) -> None:
    for text, place in zip(texts, places, strict=False):
        pen.text(place, text, "black", _font(), anchor)


def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(LETTERS)


def _width(text: str) -> int:
    return math.ceil(_font().getlength(text))
