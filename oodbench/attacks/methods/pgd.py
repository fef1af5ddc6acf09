"""Projected gradient descent, the standard attack by gradients."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from oodbench.attacks.ball import Ball
from oodbench.attacks.images import Images
from oodbench.attacks.objective import Kept, Objective, climb
from oodbench.base.errors import InputError
from oodbench.jem.sampler import ChainNoise


@dataclass(frozen=True)
class PGD:
    """Steps of equal length along the gradient, each projected back into the ball.

    Every restart begins at a random place in the ball. The best point of the whole
    path counts, not the last one. Later restarts skip images that have fallen. An
    image's result depends only on the seed and on the image's number.

    Madry, Makelov, Schmidt, Tsipras and Vladu, Towards Deep Learning Models Resistant
    to Adversarial Attacks, ICLR 2018, arXiv 1706.06083.

    Raises:
        InputError: A number is out of its range.
    """

    steps: int = 40
    step_size: float | None = None
    """In pixels of [0, 1]; None for 2.5 · eps / steps."""
    restarts: int = 1

    def __post_init__(self) -> None:
        for name, value in {"steps": self.steps, "restarts": self.restarts}.items():
            if value < 1:
                raise InputError(f"PGD needs {name} of at least 1, got {value}.")
        if self.step_size is not None and not 0 < self.step_size < math.inf:
            raise InputError(
                f"The step size of PGD must be positive, got {self.step_size:g}."
            )

    def __call__(
        self, objective: Objective, images: Images, ball: Ball, seed: int
    ) -> Tensor:
        """Returns perturbed pixels `[N, C, H, W]`, in the ball around each image."""
        kept = Kept.nothing(images.pixels)
        for restart in range(self.restarts):
            standing = kept.standing(objective.enough)
            if not len(standing):
                break
            part, best = images[standing], kept[standing]
            noise = part.noise(seed, f"PGD {restart}")
            self._climb(objective, part, ball, noise, best)
            kept[standing] = best
        return kept.pixels

    def _climb(
        self,
        objective: Objective,
        images: Images,
        ball: Ball,
        noise: ChainNoise,
        best: Kept,
    ) -> None:
        """Runs once from a random start, and offers every point to `best`."""
        length = 2.5 * ball.eps / self.steps
        if self.step_size is not None:
            length = self.step_size
        pixels = ball.start(images.pixels, noise)
        for _ in range(self.steps):
            slope, gain = climb(objective, pixels, images, noise)
            best.offer(pixels, gain)
            moved = pixels + length * ball.steepest(slope)
            pixels = ball.project(moved, images.pixels)
        with torch.no_grad():
            best.offer(pixels, objective(pixels, images, noise).gain)
