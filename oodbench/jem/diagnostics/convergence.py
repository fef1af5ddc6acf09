"""Convergence of Markov chains, measured from several of them.

Vehtari, Gelman, Simpson, Carpenter and Bürkner, Rank-Normalization, Folding, and
Localization: An Improved R-hat for Assessing Convergence of MCMC, Bayesian Analysis
2021, arXiv 1903.08008.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri
from scipy.stats import rankdata

from oodbench.base.errors import InputError

LEAST = 4
"""States of a chain that the split in halves needs."""

Floats = NDArray[np.float64]


def r_hat(chains: ArrayLike) -> Floats:
    """Returns R-hat `[…]` of values `[M, T, …]` of M chains at T steps.

    It is 1 where all chains have the same distribution, and larger where their means or
    spreads differ; the authors ask for less than 1.01. It is NaN where all values are
    equal, and infinite where each half of a chain is constant but they differ.

    Raises:
        InputError: There are fewer than 4 steps, or values that are not finite.
    """
    halves = _halves(chains)
    folded = np.abs(halves - np.median(halves, axis=(0, 1)))
    ratios = [_ratio(_normal_ranks(one)) for one in (halves, folded)]
    return np.fmax(*ratios)


def effective_samples(chains: ArrayLike) -> Floats:
    """Returns how many independent values `[M, T, …]` of M chains are worth, `[…]`.

    It is the bulk effective sample size: M · T divided by the autocorrelation time of
    the values' normal ranks, which Geyer's initial monotone sequence estimates. NaN
    where all values are equal.

    Raises:
        InputError: There are fewer than 4 steps, or values that are not finite.
    """
    ranks = _normal_ranks(_halves(chains))
    count, steps = ranks.shape[:2]
    total = count * steps
    covariance = _autocovariances(ranks).mean(axis=0)
    within = covariance[0] * steps / (steps - 1)
    variance = covariance[0] + ranks.mean(axis=1).var(axis=0, ddof=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        correlation = 1 - (within - covariance) / variance
    correlation[0] = np.where(variance > 0, 1.0, np.nan)
    even = steps - steps % 2
    pairs = correlation[0:even:2] + correlation[1:even:2]
    monotone = np.minimum.accumulate(pairs).clip(min=0)
    time = 2 * monotone.sum(axis=0) - 1
    return total / np.maximum(time, 1 / np.log10(total))


def _halves(chains: ArrayLike) -> Floats:
    """Returns both halves of each chain as chains, `[2M, T // 2, …]`."""
    values = np.asarray(chains, np.float64)
    steps = values.shape[1]
    if steps < LEAST:
        raise InputError(f"Chains of {steps} steps are too short; run {LEAST} or more.")
    if not np.isfinite(values).all():
        raise InputError("The chains have values that are not finite.")
    half = steps // 2
    return np.concatenate([values[:, :half], values[:, -half:]])


def _normal_ranks(values: Floats) -> Floats:
    """Returns values `[M, T, …]` replaced by the normal quantiles of their ranks."""
    count, steps, *rest = values.shape
    ranks = rankdata(values.reshape(count * steps, *rest), axis=0)
    return ndtri((ranks - 3 / 8) / (count * steps + 1 / 4)).reshape(values.shape)


def _ratio(values: Floats) -> Floats:
    """Returns √(variance over all chains / variance within chains), `[…]`."""
    steps = values.shape[1]
    within = values.var(axis=1, ddof=1).mean(axis=0)
    between = values.mean(axis=1).var(axis=0, ddof=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.sqrt((steps - 1) / steps + between / within)


def _autocovariances(values: Floats) -> Floats:
    """Returns those of each chain at lags 0 to T − 1, `[M, T, …]`, divided by T."""
    steps = values.shape[1]
    centred = values - values.mean(axis=1, keepdims=True)
    # Twice the length, so that the end does not meet the beginning.
    spectrum = np.fft.rfft(centred, 2 * steps, axis=1)
    power = np.abs(spectrum) ** 2
    return np.fft.irfft(power, 2 * steps, axis=1)[:, :steps] / steps
