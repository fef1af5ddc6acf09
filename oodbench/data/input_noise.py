"""Gaussian noise on evaluated images, as in the JEM paper's evaluation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from oodbench.base.errors import InputError
from oodbench.base.files import key_of
from oodbench.data.image_set import ImageSet

SEED = 0


@dataclass(frozen=True, eq=False)
class InputNoise:
    """Noise N(0, deviation²) for pixels in [-1, 1]; each image has its own.

    It is not clipped, as in the JEM paper's code (Grathwohl et al., ICLR 2020,
    arXiv:1912.03263). It depends on the set's name and the image's place in the full
    set only: batches, chunks, processes and a limit do not change it.

    Raises:
        InputError: The deviation is not positive and finite.
    """

    deviation: float
    seed: int
    places: NDArray[np.int64]
    """`[N]`, numbers of the images in the full set."""

    def __post_init__(self) -> None:
        check_deviation(self.deviation)

    @classmethod
    def of(cls, images: ImageSet, deviation: float) -> InputNoise:
        """Returns the noise of a set's images."""
        seed = int(key_of(SEED, images.dataset.name, images.stage)[:16], 16)
        return cls(deviation, seed, images.split.places)

    def add(self, pixels: Tensor, start: int) -> Tensor:
        """Returns pixels in [0, 1] with noise.

        Args:
            pixels: `[M, C, H, W]` in [0, 1], on the host.
            start: Number of the first of them among these images.
        """
        drawn = [
            np.random.default_rng([self.seed, int(place)]).standard_normal(
                tuple(pixels.shape[1:]), np.float32
            )
            for place in self.places[start : start + len(pixels)]
        ]
        # From -1 to 1 is twice as far as from 0 to 1.
        return pixels + self.deviation / 2 * torch.from_numpy(np.stack(drawn))


def check_deviation(deviation: float) -> None:
    """Refuses a deviation that is negative or not finite.

    Raises:
        InputError: It is one.
    """
    if not 0 <= deviation < float("inf"):
        raise InputError(
            f"The input noise must be a number of at least 0, got {deviation}."
        )
