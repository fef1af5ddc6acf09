"""The accuracy of a classifier, and how well its confidence is calibrated."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oodbench.base.errors import InputError
from oodbench.metrics.intervals import tail_of
from oodbench.metrics.ranking import FloatArray, finite

BINS = 20
"""Bins of confidence."""


def accuracy(labels: ArrayLike, predictions: ArrayLike) -> float:
    """Returns the share of `[N]` predictions that equal their label, in [0, 1].

    >>> accuracy([0, 1, 2, 3], [0, 1, 2, 0])
    0.75
    """
    labels, predictions = _columns(labels=labels, predictions=predictions)
    return float(np.mean(labels == predictions))


class Reliability(NamedTuple):
    """The images in each bin of confidence, each `[bins]`."""

    images: NDArray[np.intp]
    """The number of images."""
    correct: NDArray[np.intp]
    """The number of images whose prediction is right."""
    expected: FloatArray
    """The sum of their confidences: the number of right predictions that a calibrated
    classifier would have on average."""


def reliability(
    confidence: ArrayLike, correct: ArrayLike, *, bins: int = BINS
) -> Reliability:
    """Sorts `[N]` images into equally wide bins of confidence.

    Bins are (lo, hi], the first with 0, so that a confidence of 1 is in the last.

    Args:
        confidence: `[N]`, the largest softmax probability, in [0, 1].
        correct: `[N]`, 1 or true where the prediction is right, else 0 or false.
        bins: The number of bins.
    """
    confidence, right = _graded(confidence, correct)
    # k / bins is the float nearest to the edge; k * (1 / bins) would drift off it.
    inner_edges = np.arange(1, bins) / bins
    index = np.searchsorted(inner_edges, confidence, side="left")
    expected = np.bincount(index, weights=confidence, minlength=bins)
    return Reliability(
        images=np.bincount(index, minlength=bins),
        correct=np.bincount(index[right], minlength=bins),
        expected=expected.astype(np.float64, copy=False),
    )


def accuracy_intervals(
    bins: Reliability, *, level: float = 0.95
) -> tuple[FloatArray, FloatArray]:
    """Returns the ends of an exact confidence interval of each bin's accuracy.

    Clopper and Pearson, Biometrika, 1934.

    Args:
        bins: The images in each bin.
        level: Share of samples whose interval contains the true accuracy, in (0, 1).

    Returns:
        Low and high ends, each `[bins]`, in [0, 1]; 0 and 1 where a bin is empty.
    """
    from scipy.special import betaincinv

    def lowest(successes: NDArray[np.intp]) -> FloatArray:
        least = np.maximum(successes, 1)
        ends = betaincinv(least, bins.images - least + 1, tail_of(level))
        return np.where(successes > 0, ends, 0.0)

    return lowest(bins.correct), 1 - lowest(bins.images - bins.correct)


def expected_calibration_error(
    confidence: ArrayLike, correct: ArrayLike, *, bins: int = BINS
) -> float:
    """Returns the mean gap between confidence and accuracy over bins, in [0, 1].

    Bins are those of `reliability`; the weight of each is its number of images (Naeini,
    Cooper and Hauskrecht, AAAI 2015; Guo, Pleiss, Sun and Weinberger, ICML 2017, arXiv
    1706.04599). The number depends on the bins: compare only numbers of equal bins.

    Args:
        confidence: `[N]`, the largest softmax probability, in [0, 1].
        correct: `[N]`, 1 or true where the prediction is right, else 0 or false.
        bins: The number of bins; 20 as in the figures of the JEM paper (Grathwohl et
            al., ICLR 2020, arXiv 1912.03263).

    >>> expected_calibration_error([0.75, 0.75, 0.5], [True, True, False])
    0.3333333333333333
    """
    images, right, expected = reliability(confidence, correct, bins=bins)
    return float(np.abs(expected - right).sum() / images.sum())


def adaptive_calibration_error(
    confidence: ArrayLike, correct: ArrayLike, *, bins: int = BINS
) -> float:
    """Returns the mean gap between confidence and accuracy, in [0, 1].

    Bins hold equal shares of the images, sorted by confidence (Nguyen and O'Connor,
    EMNLP 2015, arXiv 1508.05154). The name is that of Nixon, Dusenberry, Zhang, Jerfel
    and Tran (CVPR Workshops 2019, arXiv 1904.01685), who average over the probabilities
    of all classes; here only the largest counts, as in the expected calibration error.

    Every bin has N / bins images, which may be a fraction. Where an edge falls among
    images of equal confidence it divides each of them alike, so that the order of the
    images does not matter.

    Args:
        confidence: `[N]`, the largest softmax probability, in [0, 1].
        correct: `[N]`, 1 or true where the prediction is right, else 0 or false.
        bins: The number of bins.

    >>> adaptive_calibration_error([0.5, 0.5, 0.75, 1.0], [1, 0, 1, 1], bins=2)
    0.0625
    """
    confidence, right = _graded(confidence, correct)
    values, index, images = np.unique(
        confidence, return_inverse=True, return_counts=True
    )
    gaps = images * values - np.bincount(index[right], minlength=values.size)
    # Between two confidences the sum of gaps rises evenly with the images below.
    below, summed = (np.append(0, np.cumsum(each)) for each in (images, gaps))
    edges = np.arange(bins + 1) * confidence.size / bins
    in_bins = np.diff(np.interp(edges, below, summed))
    return float(np.abs(in_bins).sum() / confidence.size)


def summary(
    labels: ArrayLike,
    predictions: ArrayLike,
    *,
    confidence: ArrayLike,
    nll: ArrayLike,
    brier: ArrayLike,
) -> dict[str, float]:
    """Returns accuracy, mean NLL, mean Brier score and both ECEs of `[N]` images.

    Args:
        labels: `[N]`, class numbers.
        predictions: `[N]`, class numbers.
        confidence: `[N]`, the largest softmax probability, in [0, 1].
        nll: `[N]`, −log of the label's probability, at least 0; infinity where the
            label's class is masked, and then the mean is infinite.
        brier: `[N]`, squared distance of the probabilities from the one-hot label, in
            [0, 2].
    """
    losses = np.asarray(nll, dtype=np.float64)
    masked = np.isposinf(losses)
    labels, predictions, confidence, nll, brier = _columns(
        labels=labels,
        predictions=predictions,
        confidence=confidence,
        nll=np.where(masked, 0, losses),
        brier=brier,
    )
    correct = labels == predictions
    return {
        "accuracy": accuracy(labels, predictions),
        "nll": math.inf if masked.any() else float(np.mean(nll)),
        "brier": float(np.mean(brier)),
        "ece": expected_calibration_error(confidence, correct),
        "adaptive_ece": adaptive_calibration_error(confidence, correct),
    }


def _graded(
    confidence: ArrayLike, correct: ArrayLike
) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Returns both columns, checked."""
    confidence, correct = _columns(confidence=confidence, correct=correct)
    outside = np.flatnonzero((confidence < 0) | (confidence > 1))
    if outside.size:
        raise InputError(
            f"confidence lies outside [0, 1] in {outside.size} of {confidence.size} "
            f"places, first at index {outside[0]}: {confidence[outside[0]]}."
        )
    return confidence, correct != 0


def _columns(**columns: ArrayLike) -> list[FloatArray]:
    """Returns every column as finite float64 `[N]`, all of one length."""
    arrays = {name: finite(values, name) for name, values in columns.items()}
    sizes = {name: array.size for name, array in arrays.items()}
    if len(set(sizes.values())) > 1:
        held = ", ".join(f"{name} {size}" for name, size in sizes.items())
        raise InputError(f"Give one number per image in every column, not {held}.")
    return list(arrays.values())
