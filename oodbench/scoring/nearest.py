"""Finds the nearest neighbours of images."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

CHUNK = 256
"""Images whose distances to all others are in memory at once."""


class Neighbours(NamedTuple):
    """The k-th nearest neighbour of each image."""

    distances: Tensor
    """`[N]`, float64, Euclidean."""
    places: Tensor
    """`[N]`, int64, its index among the others."""


def nearest(images: Tensor, others: Tensor, k: int = 1) -> Neighbours:
    """Returns the k-th nearest neighbour of each image.

    Args:
        images: `[N, D]`.
        others: `[M, D]`, on the same device; M is at least k.
        k: Which neighbour; 1 is the nearest.
    """
    found = (_nearest(chunk, others, k) for chunk in images.split(CHUNK))
    distances, places = zip(*found, strict=True)
    return Neighbours(torch.cat(distances), torch.cat(places))


def _nearest(images: Tensor, others: Tensor, k: int) -> Neighbours:
    places = torch.cdist(images, others).topk(k, largest=False).indices[:, -1]
    # The matrix product in cdist loses digits near 0, so the distance is made again.
    distances = (images - others[places]).double().norm(dim=1)
    return Neighbours(distances, places)
