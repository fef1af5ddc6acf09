"""Finds the nearest neighbours of images, exactly, by matrix products."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from oodbench.data.adapt import unit_pixels
from oodbench.scoring.fitting.grouped import Grouped

CHUNK = 256
"""Images whose distances to a block of others are in memory at once."""
BLOCK = 65536
"""Others in a block."""
CONVERTED = 2**22
"""Values of others in a block where they have to be converted."""
SPARE = 4
"""Candidates beyond k that are compared first, to bound the distance."""
CROWD = 0.95
"""Share of groups with candidates by short rows that whole rows take less time than."""
VALUES = 2**18
"""Of images that are compared exactly at once."""
WIDTH = 255
"""Directions that short rows keep; products of 256 numbers are the fastest."""
SAMPLE = 1024
"""Rows that the directions are computed from."""
AT_ONCE = 256
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
    """`[M, d]`; uint8 for multiples of 1/255 in [0, 1]."""
    squares: Tensor
    """`[M]`, of their lengths."""

    def products(self, images: Tensor, taken: int) -> Iterator[tuple[int, Grouped]]:
        """Yields the first place of each block, and ‖o‖² − 2 x·o for its others."""
        is_whole = self.rows.dtype == torch.uint8
        step = max(1, CONVERTED // self.rows.shape[1]) if is_whole else BLOCK
        blocks = zip(self.rows.split(step), self.squares.split(step), strict=True)
        for number, (rows, squares) in enumerate(blocks):
            found = Grouped.empty(images, len(rows), taken)
            own, out = unit_pixels(rows).T, found.rows[:, : len(rows)]
            torch.addmm(squares, images, own, alpha=-2, out=out)
            yield number * step, found

    def limits(self, images: Tensor, distances: Tensor) -> Tensor:
        """Returns `[N]`, above ‖o‖² − 2 x·o of every o within the distances."""
        size = images.double().square().sum(1)
        # Each of d products and sums, and a short row itself, rounds by at most eps,
        # relative to |x|·|o|.
        reach = (size.sqrt() + self.squares.max().double().sqrt()).square()
        error = 2 * (images.shape[1] + 1) * torch.finfo(images.dtype).eps * reach
        limit = (distances.square() - size + error).to(images.dtype)
        return limit.nextafter(torch.full_like(limit, math.inf))


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
        short = others.new_empty(len(others), 1 + WIDTH, dtype=torch.float32)
        for own, part in zip(short.split(AT_ONCE), others.split(AT_ONCE), strict=True):
            own.copy_(_short(part, centre, basis))
        return cls(_screen(others), _screen(short), centre, basis)

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
        distances. The rounding of the products is bounded: whatever could be as near as
        the k-th one found so far is a candidate.

        Args:
            images: `[N, D]`, on the device of the others.
            k: At most M.
        """
        found = [self._first(chunk, k) for chunk in images.split(CHUNK)]
        distances, places = zip(*found, strict=True)
        return Neighbours(torch.cat(distances), torch.cat(places))

    def _first(self, images: Tensor, k: int) -> Neighbours:
        if not self.basis.numel():
            return self._among(images, images, self.whole, k)[0]
        short = _short(images, self.centre, self.basis)
        found, crowded = self._among(images, short, self.short, k, CROWD)
        if (some := crowded.nonzero()[:, 0]).numel():
            again, _ = self._among(images[some], images[some], self.whole, k)
            for old, new in zip(found, again, strict=True):
                old[some] = new
        return found

    def _among(
        self,
        images: Tensor,
        screened: Tensor,
        screen: Screen,
        k: int,
        most: float = 1,
    ) -> tuple[Neighbours, Tensor]:
        """Returns the k nearest, and which images `[N]` have too many candidates.

        Args:
            images: `[N, D]`.
            screened: The same as rows of the screen.
            screen: Gives the candidates.
            k: At most M.
            most: Share of the groups of a block that may have candidates.
        """
        found = _Found.none(images, k)
        crowded = torch.zeros_like(found.places[:, 0], dtype=torch.bool)
        for first, products in screen.products(screened, k + SPARE):
            rows, columns = products.take(k + SPARE)
            found = self._joined(found, images, rows, first + columns)
            limits = screen.limits(screened, found.farthest)
            near = products.near(limits)
            crowded |= near.float().mean(1) > most
            near &= ~crowded[:, None]
            parts = [
                self._joined(found.some(few), images[few], rows, first + columns)
                for few, rows, columns in products.below(limits, near)
            ]
            found = _Found(*map(torch.cat, zip(*parts, strict=True)))
        return Neighbours(*found), crowded

    def _joined(
        self, found: _Found, images: Tensor, rows: Tensor, places: Tensor
    ) -> _Found:
        """Returns the k nearest, with images at some rows compared to others."""
        step = max(1, VALUES // images.shape[1])
        distances = [
            (images[some] - unit_pixels(self.whole.rows[near])).double().norm(dim=1)
            for some, near in zip(rows.split(step), places.split(step), strict=True)
        ]
        return found.joined(rows, places, torch.cat(distances))


class _Found(NamedTuple):
    """The k nearest so far of each image, each `[N, k]`, by distance and then place."""

    distances: Tensor
    """Infinite where fewer were seen."""
    places: Tensor

    @classmethod
    def none(cls, images: Tensor, k: int) -> _Found:
        distances = images.new_full((len(images), k), math.inf, dtype=torch.float64)
        return cls(distances, torch.zeros_like(distances, dtype=torch.int64))

    @property
    def farthest(self) -> Tensor:
        return self.distances[:, -1]

    def some(self, images: slice) -> _Found:
        """Returns those of some images."""
        return _Found(self.distances[images], self.places[images])

    def joined(self, rows: Tensor, places: Tensor, distances: Tensor) -> _Found:
        """Returns the k nearest of these and of candidates `[C]`, ordered by row."""
        k = self.distances.shape[1]
        counts = rows.bincount(minlength=len(self.distances))
        columns = torch.arange(k, k + len(rows), device=rows.device)
        columns -= (counts.cumsum(0) - counts)[rows]
        width = k + max(counts.tolist(), default=0)
        away = distances.new_full((len(counts), width), math.inf)
        which = places.new_zeros(away.shape)
        away[:, :k], which[:, :k] = self
        away[rows, columns], which[rows, columns] = distances, places
        # By place, so that of equal distances the first comes first.
        which, order = which.sort(1)
        away, nearest = away.gather(1, order).sort(dim=1, stable=True)
        return _Found(away[:, :k], which.gather(1, nearest[:, :k]))


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
    squares = torch.cat(parts)
    if not squares.isfinite().all():
        raise ValueError("some values to find neighbours among are not finite")
    return Screen(_levels(rows), squares)


def _levels(rows: Tensor) -> Tensor:
    """Returns pixels as uint8, a quarter of the memory, if that loses nothing."""
    if rows.dtype != torch.float32:
        return rows
    levels = torch.empty_like(rows, dtype=torch.uint8)
    for own, part in zip(levels.split(AT_ONCE), rows.split(AT_ONCE), strict=True):
        own.copy_((part * 255).round())
        if not torch.equal(unit_pixels(own), part):
            return rows
    return levels


def _short(rows: Tensor, centre: Tensor, basis: Tensor) -> Tensor:
    """Returns rows `[N, D]` as short ones, `[N, 1 + WIDTH]`, float32."""
    away = rows.double().sub_(centre)
    inside = away @ basis
    rest = away.norm(dim=1).square() - inside.norm(dim=1).square()
    return torch.cat([inside, rest.clamp(min=0).sqrt()[:, None]], 1).float()
