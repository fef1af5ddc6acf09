"""PNG pictures of samples, of chains, and of samples with training images."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from oodbench.data.image_png import png_grid, png_rows
from oodbench.jem.energy import to_pixels
from oodbench.jem.samples.draw import Film
from oodbench.jem.samples.neighbours import Nearest

SHOWN, PAIRS, PAIRS_A_ROW = 256, 40, 8
"""Most samples on a grid, most pairs with training images, and pairs per row."""


def samples_png(pixels: Tensor, labels: Tensor | None) -> bytes:
    """Returns a grid of the first samples; each class begins a new row.

    Args:
        pixels: `[N, C, H, W]` in [0, 1].
        labels: `[N]`, the class that each was drawn from; None for p(x).
    """
    pixels = pixels[:SHOWN]
    if labels is None:
        return png_grid(pixels)
    labels, rows, names = labels[:SHOWN], [], []
    most = int(labels.bincount().max())
    lines = math.ceil(most / math.ceil(math.sqrt(len(pixels))))
    columns = math.ceil(most / lines)
    for label in labels.unique().tolist():
        own = pixels[labels == label].split(columns)
        rows += own
        names += [str(label)] + [""] * (len(own) - 1)
    return png_rows(rows, names=names)


def film_png(film: Film) -> bytes:
    """Returns one row per chain: its states at the steps in the heading."""
    rows = list(to_pixels(film.states))
    return png_rows(rows, heads=[str(step) for step in film.steps])


def nearest_png(pixels: Tensor, found: Nearest, title: str) -> bytes:
    """Returns pairs of a sample and its nearest training image, the closest first.

    Args:
        pixels: `[N, C, H, W]` in [0, 1].
        found: Their nearest training images; distances are written below the pairs.
        title: The heading.
    """
    order = found.distances.argsort(stable=True)[:PAIRS]
    samples, nearest = pixels[order], found.pixels[order]
    between = torch.ones_like(samples[..., :1])
    pairs = torch.cat([samples, between, nearest], dim=-1)
    captions = [f"{distance:.2f}" for distance in found.distances[order].tolist()]
    return png_rows(
        pairs.split(PAIRS_A_ROW),
        title=title,
        captions=[
            captions[first : first + PAIRS_A_ROW]
            for first in range(0, len(captions), PAIRS_A_ROW)
        ],
    )
