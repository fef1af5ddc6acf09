"""Corruptions of one image, each at five severities.

Every function takes pixels `[H, W, C]`, float64 in [0, 1], and returns as many, which
may leave [0, 1]. Lengths are shares of the shorter side, so that small and large images
are corrupted alike.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from oodbench import InputError
from oodbench.data.adapt import LUMA

Pixels = NDArray[np.float64]


def gaussian_noise(x: Pixels, deviation: float, rng: Generator) -> Pixels:
    """Adds normal noise."""
    return x + rng.normal(0, deviation, x.shape)


def shot_noise(x: Pixels, photons: float, rng: Generator) -> Pixels:
    """Draws Poisson counts, a white pixel having this many photons on average."""
    return rng.poisson(x * photons) / photons


def impulse_noise(x: Pixels, share: float, rng: Generator) -> Pixels:
    """Sets this share of the values to 0 or 1, with equal probability."""
    drawn = rng.random(x.shape)
    return np.where(drawn < share, drawn < share / 2, x)


def speckle_noise(x: Pixels, deviation: float, rng: Generator) -> Pixels:
    """Adds normal noise in proportion to the value."""
    return x + x * rng.normal(0, deviation, x.shape)


def gaussian_blur(x: Pixels, deviation: float, rng: Generator) -> Pixels:
    """Blurs rows and columns by a normal density."""
    return ndimage.gaussian_filter(x, deviation * _side(x), axes=(0, 1), mode="nearest")


def defocus_blur(x: Pixels, radius: float, rng: Generator) -> Pixels:
    """Blurs by a disc with smooth edges."""
    length = radius * _side(x)
    places = np.arange(-_reach(length), _reach(length) + 1)
    distances = np.hypot(places[:, None], places)
    return _filtered(x, (length + 0.5 - distances).clip(0, 1))


def motion_blur(x: Pixels, length: float, rng: Generator) -> Pixels:
    """Blurs along a line at a random angle."""
    half, angle = length * _side(x) / 2, rng.uniform(0, np.pi)
    places = np.arange(-_reach(half), _reach(half) + 1)
    along = places[:, None] * np.sin(angle) + places * np.cos(angle)
    across = places[:, None] * np.cos(angle) - places * np.sin(angle)
    ends = (half + 0.5 - np.abs(along)).clip(0, 1)
    return _filtered(x, ends * (1 - np.abs(across)).clip(0, 1))


def pixelate(x: Pixels, share: float, rng: Generator) -> Pixels:
    """Shrinks the sides to a share by means of boxes, and repeats pixels."""
    small = [max(1, round(share * length)) for length in x.shape[1::-1]]
    planes = [
        Image.fromarray(plane.astype(np.float32))
        .resize(small, Image.Resampling.BOX)
        .resize(x.shape[1::-1], Image.Resampling.NEAREST)
        for plane in np.moveaxis(x, 2, 0)
    ]
    return np.stack([np.asarray(plane, np.float64) for plane in planes], 2)


def jpeg(x: Pixels, quality: float, rng: Generator) -> Pixels:
    """Compresses by JPEG and decompresses."""
    levels = np.rint(255 * x).astype(np.uint8)
    Image.fromarray(levels.squeeze(2) if x.shape[2] == 1 else levels).save(
        file := io.BytesIO(), "jpeg", quality=int(quality)
    )
    return np.asarray(Image.open(file), np.float64).reshape(x.shape) / 255


def contrast(x: Pixels, share: float, rng: Generator) -> Pixels:
    """Leaves this share of the distance to each channel's mean."""
    mean = x.mean((0, 1))
    return mean + share * (x - mean)


def brightness(x: Pixels, shift: float, rng: Generator) -> Pixels:
    """Adds the same to every value."""
    return x + shift


def saturate(x: Pixels, factor: float, rng: Generator) -> Pixels:
    """Multiplies the distance to grey (BT.601) by a factor."""
    if x.shape[2] == 1:
        raise InputError("saturate changes colours, and the images are grey.")
    grey = (x * LUMA).sum(2, keepdims=True)
    return grey + factor * (x - grey)


def fog(x: Pixels, density: float, rng: Generator) -> Pixels:
    """Blends with white clouds: noise whose amplitude falls as frequency to the 1.5."""
    height, width = x.shape[:2]
    frequencies = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width))
    frequencies[0, 0] = np.inf
    waves = np.fft.rfft2(rng.normal(size=(height, width))) / frequencies**1.5
    clouds = np.fft.irfft2(waves, (height, width))
    spread = np.ptp(clouds) or 1.0
    thickness = density * (0.5 + (clouds - clouds.min()) / spread / 2)[..., None]
    return x + thickness * (1 - x)


def elastic(x: Pixels, shift: float, rng: Generator) -> Pixels:
    """Moves pixels by a smooth random field with this root mean square shift."""
    side = _side(x)
    field = rng.normal(size=(2, *x.shape[:2]))
    field = ndimage.gaussian_filter(field, side / 8, axes=(1, 2), mode="wrap")
    field *= shift * side / (np.sqrt((field**2).mean()) or 1.0)
    places = np.indices(x.shape[:2]) + field
    planes = [
        ndimage.map_coordinates(plane, places, order=1, mode="nearest")
        for plane in np.moveaxis(x, 2, 0)
    ]
    return np.stack(planes, 2)


def _side(x: Pixels) -> int:
    return min(x.shape[:2])


def _reach(length: float) -> int:
    """Returns how far a kernel with a border of half a pixel goes."""
    return int(np.ceil(length + 0.5))


def _filtered(x: Pixels, kernel: Pixels) -> Pixels:
    """Returns the mean of each pixel's neighbourhood under a square kernel."""
    weights = (kernel / kernel.sum())[..., None]
    return ndimage.convolve(x, weights, mode="nearest")


class Corruption(NamedTuple):
    """A corruption and its parameter at the severities 1 to 5."""

    function: Callable[[Pixels, float, Generator], Pixels]
    levels: tuple[float, float, float, float, float]


CORRUPTIONS = {
    "gaussian_noise": Corruption(gaussian_noise, (0.04, 0.08, 0.12, 0.18, 0.26)),
    "shot_noise": Corruption(shot_noise, (200, 100, 50, 25, 12)),
    "impulse_noise": Corruption(impulse_noise, (0.01, 0.02, 0.05, 0.1, 0.2)),
    "speckle_noise": Corruption(speckle_noise, (0.1, 0.2, 0.3, 0.45, 0.6)),
    "gaussian_blur": Corruption(gaussian_blur, (0.015, 0.025, 0.035, 0.05, 0.07)),
    "defocus_blur": Corruption(defocus_blur, (0.03, 0.045, 0.06, 0.08, 0.11)),
    "motion_blur": Corruption(motion_blur, (0.05, 0.1, 0.15, 0.2, 0.3)),
    "pixelate": Corruption(pixelate, (0.8, 0.65, 0.5, 0.35, 0.25)),
    "jpeg": Corruption(jpeg, (80, 55, 35, 20, 10)),
    "contrast": Corruption(contrast, (0.75, 0.5, 0.35, 0.2, 0.1)),
    "brightness": Corruption(brightness, (0.1, 0.2, 0.3, 0.4, 0.5)),
    "saturate": Corruption(saturate, (1.5, 2, 3, 5, 8)),
    "fog": Corruption(fog, (0.2, 0.35, 0.5, 0.65, 0.8)),
    "elastic": Corruption(elastic, (0.01, 0.02, 0.03, 0.045, 0.06)),
}
"""Constants of this project; they are not those of CIFAR-10-C or ImageNet-C."""
