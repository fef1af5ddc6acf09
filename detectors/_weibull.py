"""Weibull laws of the largest of some distances."""

import math

import torch
from scipy.optimize import brentq
from torch import Tensor

SHIFT = 10_000.0
"""What libMR adds to distances, so that they are positive."""


def tail_law(away: Tensor, tail: int) -> tuple[float, float, float]:
    """Returns the maximum likelihood law of the largest distances.

    A distance up to d has the probability 1 − exp(−exp(shape · (x − place))), with
    x = log(1 + (d − start) / SHIFT): a Weibull law of d − start + SHIFT.

    Args:
        away: `[N]`, distances, float64.
        tail: How many of the largest to fit.

    Returns:
        start (the least of them), shape and place; with fewer than two distances or
        without spread among them the probability is always 0.
    """
    largest = away.topk(min(tail, len(away))).values
    if len(largest) < 2 or not largest[0] > largest[-1]:
        return 0.0, 1.0, torch.inf
    start = largest[-1].item()
    x = ((largest - start) / SHIFT).log1p()
    middle, spread = x.mean(), x.std(correction=0)
    u = (x - middle) / spread

    def slope(shape: float) -> float:
        return ((shape * u).softmax(0) @ u).item() - 1 / shape

    steep = 1.0
    while slope(steep) <= 0:
        steep *= 2
    shape = brentq(slope, 1e-3, steep, xtol=1e-14)
    place = ((shape * u).logsumexp(0) - math.log(len(u))) / shape
    return start, shape / spread.item(), (middle + place * spread).item()
