"""What an attack optimises, and the best perturbations that it has found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from oodbench.attacks.ball import Ball
from oodbench.attacks.images import Images
from oodbench.jem.sampler import Noise


class Aim(NamedTuple):
    """How successful perturbed images are; higher is better for the attacker."""

    loss: Tensor
    """`[N]`, what an attack by gradients maximises."""
    gain: Tensor
    """`[N]`, what perturbations of one image are compared by."""


class Objective(Protocol):
    """The function of perturbed images that an attack maximises."""

    @property
    def enough(self) -> float:
        """The gain from which an image needs no further attack."""

    @property
    def copies(self) -> int:
        """Images in the network's memory for each attacked image."""

    def __call__(self, pixels: Tensor, images: Images, noise: Noise) -> Aim:
        """Returns the aim `[N]` of perturbed pixels `[N, C, H, W]` of images."""


class Attack(Protocol):
    """A search for the best perturbation in a ball."""

    def __call__(
        self, objective: Objective, images: Images, ball: Ball, seed: int
    ) -> Tensor:
        """Returns perturbed pixels `[N, C, H, W]`, in the ball around each image."""


@dataclass(eq=False)
class Kept:
    """The best perturbation of each image so far; tensors are replaced, not changed."""

    pixels: Tensor
    """`[N, C, H, W]`."""
    gain: Tensor
    """`[N]`."""

    @classmethod
    def nothing(cls, pixels: Tensor) -> Kept:
        """Returns the clean images with a gain below any other."""
        return cls(pixels, pixels.new_full((len(pixels),), -torch.inf))

    def __getitem__(self, places: Tensor) -> Kept:
        return Kept(self.pixels[places], self.gain[places])

    def __setitem__(self, places: Tensor, kept: Kept) -> None:
        self.pixels = self.pixels.index_copy(0, places, kept.pixels)
        # Scores may be float64 where pixels are float32.
        gain = self.gain.to(kept.gain.dtype)
        self.gain = gain.index_copy(0, places, kept.gain)

    def offer(self, pixels: Tensor, gain: Tensor) -> None:
        """Keeps each perturbation with a higher gain; NaN is never higher."""
        better = gain > self.gain
        self.pixels = torch.where(better.view(-1, 1, 1, 1), pixels, self.pixels)
        self.gain = torch.where(better, gain, self.gain)

    def standing(self, enough: float) -> Tensor:
        """Returns the places `[M]` of images whose gain is not enough yet."""
        return (self.gain < enough).nonzero().squeeze(1)


def climb(
    objective: Objective, pixels: Tensor, images: Images, noise: Noise
) -> tuple[Tensor, Tensor]:
    """Returns ∂ loss / ∂ pixels `[N, C, H, W]` and the gain `[N]`."""
    with torch.enable_grad():
        pixels = pixels.detach().requires_grad_(True)
        aim = objective(pixels, images, noise)
        (slope,) = torch.autograd.grad(aim.loss.sum(), pixels)
    return slope, aim.gain.detach()
