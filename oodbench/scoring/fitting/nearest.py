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
"""Candidates beyond k that are compared in any case."""
SHORT = 256
"""Candidates beyond k by short rows; those that could be as near are compared."""
MORE = 8
"""By how much the number of candidates grows where they were too few."""
VALUES = 2**21
"""Of images that are compared exactly at once."""
WIDTH = 256
"""Directions that short rows keep."""
SAMPLE = 1024
"""Rows that the directions are computed from."""
AT_ONCE = 1024
"""Rows that are shortened at once."""


class Neighbours(NamedTuple):
    """The k-th nearest neighbour of each image, or the first k."""

    distances: Tensor
    """`[N]` or `[N, k]`, float64, Euclidean."""
    places: Tensor
    """`[N]` or `[N, k]`, int64, the index among the others."""


class Screen(NamedTuple):
    """Rows that are no farther from each other than what they stand for."""

    rows: Tensor
    """`[M, d]`."""
    squares: Tensor
    """`[M]`, of their lengths."""


class Bank(NamedTuple):
    """Others that neighbours are found among, made ready once.

    A short row holds the coordinates of a row in the directions in which rows differ
    most, and the length of the rest. Two short rows are at most as far apart as the
    rows, since the lengths of two vectors differ by at most the vectors' distance.
    """

    whole: Screen
    """`[M, D]`, the others themselves."""
    short: Screen
    """`[M, 1 + WIDTH]`, float32; `whole` where that would save little."""
    centre: Tensor
    """`[D]`, float64, what is taken from a row before it is shortened; or empty."""
    basis: Tensor
    """`[D, WIDTH]`, float64, the directions, orthonormal; or empty."""

    @classmethod
    def of(cls, others: Tensor) -> Bank:
        """Returns others `[M, D]` made ready."""
        if len(others) < 4 * SAMPLE or others.shape[1] < 2 * WIDTH:
            return cls.plain(others)
        sample = others[:: len(others) // SAMPLE].double()
        centre = sample.mean(0)
        away = sample - centre
        vectors = torch.linalg.eigh(away @ away.T).eigenvectors[:, -WIDTH:]
        basis = torch.linalg.qr(away.T @ vectors).Q
        parts = [_short(part, centre, basis) for part in others.split(AT_ONCE)]
        return cls(_screen(others), _screen(torch.cat(parts)), centre, basis)

    @classmethod
    def plain(cls, others: Tensor) -> Bank:
        """Returns others without short rows, for few images."""
        screen = _screen(others)
        nothing = others.new_empty(0, dtype=torch.float64)
        return cls(screen, screen, nothing, nothing)

    def nearest(self, images: Tensor, k: int = 1) -> Neighbours:
        """Returns the k-th nearest neighbour of each image; of equal ones the first.

        Args:
            images: `[N, D]`, on the device of the others.
            k: Which neighbour, at most M; 1 is the nearest.
        """
        return Neighbours(*(found[:, -1] for found in self.first(images, k)))

    def first(self, images: Tensor, k: int) -> Neighbours:
        """Returns the k nearest neighbours of each image, by distance and then place.

        ‖x − o‖² = ‖x‖² + ‖o‖² − 2 x·o gives candidates, and their differences the exact
        distances. The rounding of the products is bounded: where one that is no
        candidate could be as near, there are more candidates.

        Args:
            images: `[N, D]`, on the device of the others.
            k: At most M.
        """
        found = [self._first(chunk, k) for chunk in images.split(CHUNK)]
        distances, places = zip(*found, strict=True)
        return Neighbours(torch.cat(distances), torch.cat(places))

    def _first(self, images: Tensor, k: int) -> Neighbours:
        count = k + SPARE
        first = k + SHORT if self.basis.numel() else count
        found = self._among(images, k, self.short, first)
        while (doubtful := found.doubtful.nonzero()[:, 0]).numel():
            more = self._among(images[doubtful], k, self.whole, count)
            for old, new in zip(found, more, strict=True):
                old[doubtful] = new
            count *= MORE
        return Neighbours(found.distances, found.places)

    def _among(self, images: Tensor, k: int, screen: Screen, count: int) -> _Found:
        """Returns the neighbours among so many candidates, the nearest by products."""
        short = images
        if screen is self.short and self.basis.numel():
            short = _short(images, self.centre, self.basis)
        values, places = _candidates(short, screen, count)
        away = torch.full_like(values, torch.inf, dtype=torch.float64)
        sure = torch.zeros_like(values, dtype=torch.bool)
        sure[:, : k + SPARE] = True
        away[sure] = self._distances(images, places, sure)
        farthest = away.kthvalue(k, dim=1).values
        near = values.double() <= _limit(short, screen, farthest)[:, None]
        is_all = places.shape[1] == len(self.whole.rows)
        doubtful = near[:, -1] & (not is_all)
        rest = near & ~sure & ~doubtful[:, None]
        away[rest] = self._distances(images, places, rest)
        # By place, so that of equal distances the first comes first.
        by_place = places.sort(1)
        ordered = away.gather(1, by_place.indices).sort(dim=1, stable=True)
        chosen = by_place.values.gather(1, ordered.indices[:, :k])
        return _Found(ordered.values[:, :k], chosen, doubtful)

    def _distances(self, images: Tensor, places: Tensor, chosen: Tensor) -> Tensor:
        """Returns the distances, one after another, of images to chosen candidates."""
        rows, columns = chosen.nonzero(as_tuple=True)
        step = max(1, VALUES // images.shape[1])
        return torch.cat(
            [
                (images[some] - self.whole.rows[near]).double().norm(dim=1)
                for some, near in zip(
                    rows.split(step), places[rows, columns].split(step), strict=True
                )
            ]
        )


class _Found(NamedTuple):
    distances: Tensor
    places: Tensor
    doubtful: Tensor
    """`[N]`, whether one that is no candidate could be as near."""


def nearest(images: Tensor, others: Tensor, k: int = 1) -> Neighbours:
    """Returns the k-th nearest neighbour of few images, as `Bank.nearest` does.

    Args:
        images: `[N, D]`.
        others: `[M, D]`, on the same device; M is at least k.
        k: Which neighbour; 1 is the nearest.
    """
    return Bank.plain(others).nearest(images, k)


def _screen(rows: Tensor) -> Screen:
    parts = [part.square().sum(1) for part in rows.split(AT_ONCE)]
    return Screen(rows, torch.cat(parts))


def _short(rows: Tensor, centre: Tensor, basis: Tensor) -> Tensor:
    """Returns rows `[N, D]` as short ones, `[N, 1 + WIDTH]`, float32."""
    away = rows.double() - centre
    inside = away @ basis
    rest = (away.square().sum(1) - inside.square().sum(1)).clamp(min=0).sqrt()
    return torch.cat([inside, rest[:, None]], 1).float()


def _candidates(images: Tensor, others: Screen, count: int) -> tuple[Tensor, Tensor]:
    """Returns the smallest ‖o‖² − 2 x·o of each image, and the places of these o."""
    values: list[Tensor] = []
    places: list[Tensor] = []
    for start in range(0, len(others.rows), BLOCK):
        block = slice(start, start + BLOCK)
        rows, squares = others.rows[block], others.squares[block]
        found = torch.addmm(squares, images, rows.T, alpha=-2)
        best = found.topk(min(count, found.shape[1]), largest=False)
        values.append(best.values)
        places.append(best.indices + start)
    joined = torch.cat(values, 1)
    best = joined.topk(min(count, joined.shape[1]), largest=False)
    return best.values, torch.cat(places, 1).gather(1, best.indices)


def _limit(images: Tensor, others: Screen, distances: Tensor) -> Tensor:
    """Returns the largest ‖o‖² − 2 x·o that an o within the distances can have."""
    size = images.double().square().sum(1)
    # Each of d products and sums, and a short row itself, rounds by at most eps,
    # relative to |x|·|o|.
    reach = (size.sqrt() + others.squares.max().double().sqrt()).square()
    error = 2 * (images.shape[1] + 1) * torch.finfo(images.dtype).eps * reach
    return distances.square() - size + error
