"""The square attack, a random search without gradients."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from oodbench.attacks.ball import Ball
from oodbench.attacks.images import Images
from oodbench.attacks.objective import Kept, Objective
from oodbench.base.errors import InputError
from oodbench.jem.sampler import ChainNoise

HALVINGS = (0, 10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000, 10000)
"""Queries, of 10,000, at which the changed share of the image is halved."""


@dataclass(frozen=True)
class Square:
    """Changes a square at a random place, and keeps the change if it brings a gain.

    Squares shrink in stages as queries are used up. Images that have fallen are left
    out of later stages. An image's result depends only on the seed and on its number.

    Andriushchenko, Croce, Flammarion and Hein, Square Attack: a Query-Efficient
    Black-Box Adversarial Attack via Random Search, ECCV 2020, arXiv 1912.00049.

    Raises:
        InputError: A number is out of its range.
    """

    queries: int = 1000
    """Perturbed images that the target classifies, per attacked image."""
    share: float = 0.8
    """Share of the image that the first squares cover, in (0, 1]; as in AutoAttack
    (Croce and Hein, ICML 2020, arXiv 2003.01690)."""

    def __post_init__(self) -> None:
        if self.queries < 1:
            raise InputError(
                f"The square attack needs at least 1 query, got {self.queries}."
            )
        if not 0 < self.share <= 1:
            raise InputError(
                f"The first squares must cover a share in (0, 1], got {self.share:g}."
            )

    @torch.no_grad()
    def __call__(
        self, objective: Objective, images: Images, ball: Ball, seed: int
    ) -> Tensor:
        """Returns perturbed pixels `[N, C, H, W]`, in the ball around each image."""
        kept = Kept.nothing(images.pixels)
        noise = images.noise(seed, "square")
        start = _stripes if ball.norm == "linf" else _tiles
        moved = start(images.pixels, ball.eps, noise)
        pixels = ball.project(images.pixels + moved, images.pixels)
        kept.offer(pixels, objective(pixels, images, noise).gain)
        for stage, (share, queries) in enumerate(self._stages()):
            standing = kept.standing(objective.enough)
            if not len(standing):
                break
            part, best = images[standing], kept[standing]
            noise = part.noise(seed, f"square {stage}")
            for pixels in _proposals(best, part, ball, share, queries, noise):
                best.offer(pixels, objective(pixels, part, noise).gain)
            kept[standing] = best
        return kept.pixels

    def _stages(self) -> Iterator[tuple[float, int]]:
        """Yields shares of the image, each with its number of queries."""
        ends = [round(each * (self.queries - 1) / HALVINGS[-1]) for each in HALVINGS]
        for halvings, (first, end) in enumerate(pairwise(ends)):
            yield self.share / 2**halvings, end - first


class _Window(NamedTuple):
    """Squares of one size, one in each image."""

    rows: Tensor
    """`[N, H]`, rows counted from the square's first."""
    columns: Tensor
    """`[N, W]`, likewise."""
    side: int

    @classmethod
    def at(cls, places: Tensor, side: int, size: torch.Size) -> _Window:
        """Returns squares at places `[N, 2]` in [-1, 1], from edge to edge."""
        room = places.new_tensor([size[-2] - side + 1, size[-1] - side + 1])
        corners = ((places + 1) / 2 * room).long().clamp(max=room.long() - 1)
        rows, columns = (
            torch.arange(length, device=places.device) - corner[:, None]
            for length, corner in zip(size[-2:], corners.T, strict=True)
        )
        return cls(rows, columns, side)

    def draw(self, pattern: Tensor) -> Tensor:
        """Returns images `[N, 1, H, W]` with a pattern in the square, zero outside."""
        (rows, ys), (columns, xs) = (
            ((at >= 0) & (at < self.side), at.clamp(0, self.side - 1))
            for at in (self.rows, self.columns)
        )
        inside = rows[:, :, None] & columns[:, None]
        return (pattern[ys[:, :, None], xs[:, None]] * inside)[:, None]


def _proposals(
    best: Kept,
    images: Images,
    ball: Ball,
    share: float,
    queries: int,
    noise: ChainNoise,
) -> Iterator[Tensor]:
    """Yields changed images, each made from the best of all that were offered."""
    centre = images.pixels
    channels, height, width = centre.shape[1:]
    change = _square if ball.norm == "linf" else _two_squares
    side = round((share * height * width) ** 0.5)
    side = min(max(side, 1 if ball.norm == "linf" else 3), height, width)
    drawn = noise.uniform(centre.new_empty(len(centre), queries, 5 + channels))
    for draw in drawn.unbind(1):
        moved = change(best.pixels - centre, ball.eps, side, draw)
        yield ball.project(centre + moved, centre)


def _stripes(centre: Tensor, eps: float, noise: ChainNoise) -> Tensor:
    """Starts L∞: vertical stripes of ±eps."""
    return eps * noise.uniform(centre[:, :, :1]).sign()


def _square(moved: Tensor, eps: float, side: int, draw: Tensor) -> Tensor:
    """Changes L∞: a square of ±eps, of one sign a channel."""
    window = _Window.at(draw[:, :2], side, moved.shape)
    inside = window.draw(moved.new_ones(side, side)) > 0
    return torch.where(inside, eps * draw[:, 5:, None, None].sign(), moved)


def _tiles(centre: Tensor, eps: float, noise: ChainNoise) -> Tensor:
    """Starts L2: five tiles by five or more, each a bump of either sign."""
    height, width = centre.shape[-2:]
    side = max(min(height, width) // 5, 1)
    down, across = -(-height // side), -(-width // side)
    signs = noise.uniform(centre.new_empty(*centre.shape[:2], down, across)).sign()
    bumps = torch.kron(signs, _bumps(side).to(centre))
    return eps * _unit(bumps[..., :height, :width], (1, 2, 3))


def _two_squares(moved: Tensor, eps: float, side: int, draw: Tensor) -> Tensor:
    """Changes L2: moves the budget of one square into another, and adds a bump there.

    The bump is upright or lies, of one sign a channel.
    """
    into, out = (
        _Window.at(places, side, moved.shape) for places in (draw[:, :2], draw[:, 2:4])
    )
    bumps, flat = _bumps(side).to(moved), moved.new_ones(side, side)
    turned = draw[:, 4, None, None, None] > 0
    bump = torch.where(turned, into.draw(bumps.T), into.draw(bumps))
    target, source = into.draw(flat) > 0, out.draw(flat) > 0
    # What is spent in both squares, and what no pixel spends yet, in equal parts.
    spent = (moved * (target | source)).square().sum((2, 3), keepdim=True)
    unspent = eps**2 - moved.square().sum((1, 2, 3), keepdim=True)
    budget = (spent + unspent.clamp(min=0) / moved.shape[1]).sqrt()
    fresh = draw[:, 5:, None, None].sign() * bump + _unit(moved * target, (2, 3))
    moved = torch.where(source, 0, moved)
    moved = torch.where(target, budget * _unit(fresh, (2, 3)), moved)
    return eps * _unit(moved, (1, 2, 3))


def _bumps(side: int) -> Tensor:
    """Returns a bump above a dent, `[side, side]`, of L2 norm 1."""
    upper = side // 2
    both = torch.cat([_bump(upper, side), -_bump(side - upper, side)])
    return both / both.norm()


def _bump(height: int, width: int) -> Tensor:
    """Returns rings around the middle, the sum of 1 / j² over the rings j from theirs.

    The paper's pattern, which neighbouring convolutions see as one shape.
    """
    down, across = (
        (torch.arange(length) - length // 2).abs() for length in (height, width)
    )
    rings = max(height, width) // 2 + 1
    heights = (1 / torch.arange(1, rings + 1) ** 2).flip(0).cumsum(0).flip(0)
    bump = heights[torch.maximum(down[:, None], across[None])]
    return bump / bump.norm() if height else bump


def _unit(values: Tensor, dims: tuple[int, ...]) -> Tensor:
    least = torch.finfo(values.dtype).tiny
    length = values.square().sum(dims, keepdim=True).sqrt()
    return values / length.clamp(min=least)
