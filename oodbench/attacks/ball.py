"""The ball around an image within which an attack moves it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from oodbench.base.errors import InputError
from oodbench.jem.sampler import ChainNoise

Norm = Literal["linf", "l2"]
NORMS: tuple[Norm, ...] = get_args(Norm)

LEVELS = 255
"""The distance from black to white on the grid of 8-bit images."""
FEW = 32
"""Radii of at most so many levels are written as levels."""
SLACK = 1e-3
"""Part of a level that covers the rounding of float32."""


def eps_text(eps: float, norm: Norm) -> str:
    """Returns a radius as tables show it.

    >>> eps_text(8 / 255, "linf"), eps_text(0.5, "l2"), eps_text(0, "l2")
    ('8/255', '0.5', 'clean')
    """
    if not eps:
        return "clean"
    levels = eps * LEVELS
    if norm == "linf" and abs(levels - round(levels)) < 1e-6 and levels < FEW + 1:
        return f"{round(levels)}/{LEVELS}"
    return f"{eps:.4g}"


@dataclass(frozen=True)
class Ball:
    """All images no farther than `eps` from an image, pixels in [0, 1].

    Raises:
        InputError: There is no such norm, or no such radius.
    """

    norm: Norm
    eps: float
    """In pixels of [0, 1], whatever the network's own scaling; 0: the image alone."""

    def __post_init__(self) -> None:
        if self.norm not in NORMS:
            raise InputError(
                f"There is no norm {self.norm!r} to attack in; take linf or l2."
            )
        if not 0 <= self.eps < math.inf:
            raise InputError(
                f"The eps {self.eps:g} must be a number of at least 0, in pixels of "
                "[0, 1]."
            )

    def distance(self, pixels: Tensor, centre: Tensor) -> Tensor:
        """Returns the distances `[N]` between images `[N, …]` and their centres."""
        moved = (pixels - centre).flatten(1)
        return moved.abs().amax(1) if self.norm == "linf" else moved.norm(dim=1)

    def project(self, pixels: Tensor, centre: Tensor) -> Tensor:
        """Moves images into the ball around `centre`, then into [0, 1].

        The second step cannot leave the ball again, since the centre is in [0, 1].
        """
        if self.norm == "linf":
            pixels = pixels.clamp(centre - self.eps, centre + self.eps)
        else:
            moved = pixels - centre
            pixels = centre + moved * (self.eps / _norm(moved)).clamp(max=1)
        return pixels.clamp(0, 1)

    def start(self, centre: Tensor, noise: ChainNoise) -> Tensor:
        """Draws images `[N, …]` evenly from the ball and moves them into [0, 1]."""
        if self.norm == "linf":
            moved = noise.uniform(centre)
        else:
            direction = noise(centre)
            share = (noise.uniform(centre[:, :1, :1, :1]) + 1) / 2
            # The volume within a radius grows with its power of the dimension.
            radius = share ** (1 / math.prod(centre.shape[1:]))
            moved = radius * direction / _norm(direction)
        return self.project(centre + self.eps * moved, centre)

    def steepest(self, slope: Tensor) -> Tensor:
        """Returns the step of length 1 along which a function rises most, `[N, …]`.

        It is zero where the gradient `[N, …]` is zero or not a number.
        """
        slope = slope.nan_to_num(0, 0, 0)
        return slope.sign() if self.norm == "linf" else slope / _norm(slope)

    def on_grid(self, pixels: Tensor, centre: Tensor) -> Tensor:
        """Rounds images in the ball to 8 bits, uint8 `[N, …]`, within the ball.

        In L∞ each pixel takes the nearest level within the ball; in L2 the nearest
        level, or the next one towards the centre if that would leave the ball. If a
        pixel of the centre is between levels, as in resized images, and no level is
        in the ball, it takes the level nearest to the centre.
        """
        levels, middle = pixels * LEVELS, centre * LEVELS
        if self.norm == "linf":
            low = (middle - self.eps * LEVELS - SLACK).ceil()
            high = (middle + self.eps * LEVELS + SLACK).floor()
            held = levels.round().clamp(low, high)
            rounded = torch.where(low > high, middle.round(), held)
        else:
            outer = levels.round()
            low, high = (levels + SLACK).floor(), (levels - SLACK).ceil()
            is_low = (low - middle).abs() < (high - middle).abs()
            inner = torch.where(is_low, low, high)
            leaves = _norm(outer - middle) > self.eps * LEVELS + SLACK
            rounded = torch.where(leaves, inner, outer)
        return rounded.clamp(0, LEVELS).to(torch.uint8)


def _norm(moved: Tensor) -> Tensor:
    """Returns L2 norms `[N, 1, 1, 1]`, at least the smallest positive number."""
    least = torch.finfo(moved.dtype).tiny
    return moved.flatten(1).norm(dim=1).clamp(min=least).view(-1, 1, 1, 1)
