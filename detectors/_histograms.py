"""Histograms of the values of each image, compared with the mean of training images."""

import math
from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import avg_pool1d, pad

BINS = 100


class Histograms(NamedTuple):
    """The mean histogram of training images, over equal bins."""

    low: float
    high: float
    mean: Tensor
    """`[BINS]`, shares of an image's values."""

    def divergence(self, values: Tensor, window: int, floor: float) -> Tensor:
        """Returns KL(p ‖ q) + KL(q ‖ p) of the mean p and each image's q, `[N]`.

        Args:
            values: `[N, V]` of the images.
            window: The number of bins over which q is averaged; p is not.
            floor: Is added to all shares of p and q, which then sum to 1 again.
        """
        shares = _shares(values, self.low, self.high)
        before, after = (window - 1) // 2, window // 2
        padded = pad(shares[:, None], (before, after), mode="replicate")
        q = avg_pool1d(padded, window, stride=1)[:, 0] + floor
        p = self.mean + floor
        p, q = p / p.sum(), q / q.sum(1, keepdim=True)
        return ((p - q) * (p.log() - q.log())).sum(1)


def mean_histogram(values: Callable[[], Iterable[Tensor]]) -> Histograms:
    """Returns the mean histogram between the least and the largest value.

    Args:
        values: Gives the values `[N, V]` of the images in parts, twice.

    Raises:
        ValueError: All values are equal.
    """
    low, high = math.inf, -math.inf
    for part in values():  # no small tensor stays between parts, or the heap would grow
        low, high = min(low, part.min().item()), max(high, part.max().item())
    if not low < high:
        raise ValueError(f"all values of the training images are {low:g}")
    total, images = torch.zeros(BINS, dtype=torch.float64), 0
    for part in values():
        total += _shares(part, low, high).sum(0)
        images += len(part)
    return Histograms(low, high, total / images)


def _shares(values: Tensor, low: float, high: float) -> Tensor:
    """Returns the share of each image's values in each bin; those outside are lost."""
    bins = ((values - low) * (BINS / (high - low))).floor().clamp(0, BINS - 1).long()
    bins[(values < low) | (values > high)] = BINS
    ones = torch.ones_like(values)
    counts = values.new_zeros(len(values), BINS + 1).scatter_add(1, bins, ones)
    return counts[:, :BINS] / values.shape[1]
