"""Images of pure noise, made as they are read."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from oodbench import Dataset, InputError, Role
from oodbench.base.registry import unknown
from oodbench.datasets._drawn import Draw, drawn_set


def uniform(rng: Generator, size: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Draws every value from 0…255 with equal probability."""
    return rng.integers(0, 256, size, dtype=np.uint8)


def gaussian(rng: Generator, size: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Draws from a normal distribution of mean 0.5 and deviation 0.5, cut to [0, 1]."""
    values = rng.normal(0.5, 0.5, size).clip(0, 1)
    return np.rint(values * 255).astype(np.uint8)


KINDS: dict[str, tuple[Draw, Role]] = {
    # A JEM's sampler starts from uniform noise, so a JEM has seen it in training.
    "uniform": (uniform, "probe"),
    "gaussian": (gaussian, "far"),
}


def noise(argument: str) -> Dataset:
    """Opens 1,000 images of noise, `noise:uniform` or `noise:gaussian`.

    Images are uint8 in the shape of the network. The Gaussian noise is the one of
    Hendrycks and Gimpel, A Baseline for Detecting Misclassified and Out-of-Distribution
    Examples in Neural Networks, ICLR 2017, arXiv 1610.02136.
    """
    if argument not in KINDS:
        raise InputError(unknown("noise", argument, KINDS))
    draw, role = KINDS[argument]
    return drawn_set(f"noise:{argument}", draw, role, count=1000, dtype=np.uint8)
