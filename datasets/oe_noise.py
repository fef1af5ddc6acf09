"""The noise of Outlier Exposure's evaluation, made as it is read."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from oodbench import Dataset, InputError
from oodbench.base.registry import unknown
from oodbench.datasets._drawn import Draw, drawn_set

RealDraw = Callable[[Generator, tuple[int, int, int]], NDArray[np.float64]]
"""Draws one image `[H, W, C]` of real numbers in [0, 1]."""

CIFAR_MEAN = np.array([125.3, 123.0, 113.9]) / 255
CIFAR_STD = np.array([63.0, 62.1, 66.7]) / 255


def gaussian(rng: Generator, size: tuple[int, int, int]) -> NDArray[np.float64]:
    """Draws from a normal distribution of mean 0.5 and deviation 0.5, cut to [0, 1]."""
    return rng.normal(0.5, 0.5, size).clip(0, 1)


def bernoulli(rng: Generator, size: tuple[int, int, int]) -> NDArray[np.float64]:
    """Draws 0 or 1 with equal probability."""
    return rng.integers(0, 2, size).astype(np.float64)


def blob(rng: Generator, size: tuple[int, int, int]) -> NDArray[np.float64]:
    """Blurs 0 and 1 along all three axes, colours too, and keeps what is above 0.75."""
    values = gaussian_filter(
        rng.binomial(1, 0.7, size).astype(np.float64), 1.5, mode="nearest"
    )
    return np.where(values < 0.75, 0, values)


def uniform(rng: Generator, size: tuple[int, int, int]) -> NDArray[np.float64]:
    """Draws every value from [0, 1] with equal probability."""
    return rng.random(size)


def as_cifar(draw: RealDraw) -> RealDraw:
    """Returns a draw of pixels that CIFAR's normalisation maps to 2x − 1."""

    def drawn(rng: Generator, size: tuple[int, int, int]) -> NDArray[np.float64]:
        if size[2] != len(CIFAR_MEAN):
            raise InputError(
                "Noise for CIFAR has 3 channels, and the network takes "
                f"{size[2]}; take oe_noise:gaussian, bernoulli or blob."
            )
        return (2 * draw(rng, size) - 1) * CIFAR_STD + CIFAR_MEAN

    return drawn


def narrow(rng: Generator, size: tuple[int, int, int]) -> NDArray[np.float64]:
    """Draws what 2x − 1 makes normal of mean 0 and deviation 0.5, cut to [−1, 1]."""
    return (rng.normal(0, 0.5, size).clip(-1, 1) + 1) / 2


KINDS: dict[str, Draw] = {
    "gaussian": gaussian,
    "bernoulli": bernoulli,
    "blob": blob,
    "uniform": uniform,
    "cifar-gaussian": as_cifar(narrow),
    "cifar-rademacher": as_cifar(bernoulli),
    "cifar-blob": as_cifar(blob),
    "cifar-uniform": as_cifar(uniform),
}


def oe_noise(argument: str) -> Dataset:
    """Opens 20,000 images of noise: `oe_noise:gaussian`, `bernoulli`, `blob`.

    Hendrycks, Mazeika and Dietterich, Deep Anomaly Detection with Outlier Exposure,
    ICLR 2019, arXiv 1812.04606. Images are float32. The kinds `cifar-gaussian`,
    `cifar-rademacher`, `cifar-blob` and `cifar-uniform` are for networks whose
    normalisation is the paper's for CIFAR, mean 125.3 123.0 113.9 and deviation 63.0
    62.1 66.7 of 255: such noise lies in [−1, 1] behind the normalisation. The blur
    repeats the edges and reaches 4 deviations, which are the defaults of scikit-image,
    the scripts' library. `uniform` is the noise that they validate on.
    """
    if argument not in KINDS:
        raise InputError(unknown("noise of Outlier Exposure", argument, KINDS))
    return drawn_set(
        f"oe_noise:{argument}", KINDS[argument], "far", count=20_000, dtype=np.float32
    )
