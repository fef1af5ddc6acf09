"""Finds the nearest neighbours of images, exactly, by matrix products."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

CHUNK = 256
"""Images whose distances to a block of others are in memory at once."""
BLOCK = 65536
"""Others in a block."""
SPARE = 8
"""Candidates beyond k, whose distances are computed exactly."""
VALUES = 2**24
"""Of candidates that are in memory at once."""


class Neighbours(NamedTuple):
    """The k-th nearest neighbour of each image."""

    distances: Tensor
    """`[N]`, float64, Euclidean."""
    places: Tensor
    """`[N]`, int64, its index among the others."""


def nearest(images: Tensor, others: Tensor, k: int = 1) -> Neighbours:
    """Returns the k-th nearest neighbour of each image; of equal ones the first.

    ‖x − o‖² = ‖x‖² + ‖o‖² − 2 x·o gives candidates, and their differences the exact
    distances. The rounding of the products is bounded: where one that is no candidate
    could be as near, there are more candidates.

    Args:
        images: `[N, D]`.
        others: `[M, D]`, on the same device; M is at least k.
        k: Which neighbour; 1 is the nearest.
    """
    squares = torch.cat([block.square().sum(1) for block in others.split(BLOCK)])
    found = [_nearest(chunk, others, squares, k) for chunk in images.split(CHUNK)]
    distances, places = zip(*found, strict=True)
    return Neighbours(torch.cat(distances), torch.cat(places))


def _nearest(images: Tensor, others: Tensor, squares: Tensor, k: int) -> Neighbours:
    count = k + SPARE
    found = _among_candidates(images, others, squares, k, count)
    while (doubtful := found.doubtful.nonzero()[:, 0]).numel():
        count *= 8
        more = _among_candidates(images[doubtful], others, squares, k, count)
        for old, new in zip(found, more, strict=True):
            old[doubtful] = new
    return Neighbours(found.distances, found.places)


class _Found(NamedTuple):
    distances: Tensor
    places: Tensor
    doubtful: Tensor
    """`[N]`, whether one that is no candidate could be as near."""


def _among_candidates(
    images: Tensor, others: Tensor, squares: Tensor, k: int, count: int
) -> _Found:
    values, places = _candidates(images, others, squares, count)
    # By place, so that of equal distances the first comes first.
    places = places.sort(1).values
    rows = max(1, VALUES // (places.shape[1] * others.shape[1]))
    parts = zip(images.split(rows), places.split(rows), strict=True)
    away = torch.cat([_distances(some, others[own]) for some, own in parts])
    ordered = away.sort(dim=1, stable=True)
    distances = ordered.values[:, k - 1]
    chosen = places.gather(1, ordered.indices[:, k - 1 : k])[:, 0]
    if places.shape[1] == len(others):
        return _Found(distances, chosen, torch.zeros_like(distances, dtype=torch.bool))
    size = images.double().square().sum(1)
    # Each of D products and sums rounds by at most eps, relative to |x|·|o|.
    reach = (size.sqrt() + squares.max().double().sqrt()).square()
    error = 2 * images.shape[1] * torch.finfo(images.dtype).eps * reach
    outside = values.amax(1).double() + size - error
    return _Found(distances, chosen, outside <= distances.square())


def _candidates(
    images: Tensor, others: Tensor, squares: Tensor, count: int
) -> tuple[Tensor, Tensor]:
    """Returns the smallest ‖o‖² − 2 x·o of each image, and the places of these o."""
    values: list[Tensor] = []
    places: list[Tensor] = []
    for start in range(0, len(others), BLOCK):
        block = slice(start, start + BLOCK)
        found = torch.addmm(squares[block], images, others[block].T, alpha=-2)
        best = found.topk(min(count, found.shape[1]), largest=False)
        values.append(best.values)
        places.append(best.indices + start)
    joined = torch.cat(values, 1)
    best = joined.topk(min(count, joined.shape[1]), largest=False)
    return best.values, torch.cat(places, 1).gather(1, best.indices)


def _distances(images: Tensor, others: Tensor) -> Tensor:
    """Returns the distances of images `[N, D]` to their own others `[N, M, D]`."""
    return (images[:, None] - others).double().norm(dim=2)
