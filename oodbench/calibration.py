"""Says how good a classifier's predictions are, and whether its confidence is true."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from oodbench.errors import InputError
from oodbench.metrics import FloatArray, finite


def accuracy(labels: ArrayLike, predictions: ArrayLike) -> float:
    """Returns the share of `[N]` predictions that equal their label, in [0, 1].

    >>> accuracy([0, 1, 2, 3], [0, 1, 2, 0])
    0.75
    """
    labels, predictions = _columns(labels=labels, predictions=predictions)
    return float(np.mean(labels == predictions))


def expected_calibration_error(
    confidence: ArrayLike, correct: ArrayLike, *, bins: int = 20
) -> float:
    """Returns the mean gap between confidence and accuracy over bins, in [0, 1].

    Bins are equally wide, (lo, hi], the first with 0; each weighs as many images as it
    holds (Naeini, Cooper and Hauskrecht, AAAI 2015; Guo, Pleiss, Sun and Weinberger,
    ICML 2017, arXiv 1706.04599). The number depends on the bins: compare equal ones.

    Args:
        confidence: `[N]`, the largest softmax probability, in [0, 1].
        correct: `[N]`, 1 or true where the prediction is right, else 0 or false.
        bins: How many; 20 as in the figures of the JEM paper (Grathwohl et al., ICLR
            2020, arXiv 1912.03263).

    >>> expected_calibration_error([0.75, 0.75, 0.5], [True, True, False])
    0.3333333333333333
    """
    confidence, correct = _columns(confidence=confidence, correct=correct)
    outside = np.flatnonzero((confidence < 0) | (confidence > 1))
    if outside.size:
        raise InputError(
            f"confidence lies outside [0, 1] in {outside.size} of {confidence.size} "
            f"places, first at index {outside[0]}: {confidence[outside[0]]}."
        )
    # k / bins is the float nearest to the edge; k * (1 / bins) would drift off it.
    inner_edges = np.arange(1, bins) / bins
    index = np.searchsorted(inner_edges, confidence, side="left")
    gaps = np.bincount(index, weights=confidence - correct)
    return float(np.abs(gaps).sum() / confidence.size)


def summary(
    labels: ArrayLike,
    predictions: ArrayLike,
    *,
    confidence: ArrayLike,
    nll: ArrayLike,
    brier: ArrayLike,
) -> dict[str, float]:
    """Returns accuracy, mean NLL, mean Brier score and ECE of `[N]` images.

    Args:
        labels: `[N]`, class numbers.
        predictions: `[N]`, class numbers.
        confidence: `[N]`, the largest softmax probability, in [0, 1].
        nll: `[N]`, −log of the label's probability, at least 0.
        brier: `[N]`, squared distance of the probabilities from the one-hot label, in
            [0, 2].
    """
    labels, predictions, confidence, nll, brier = _columns(
        labels=labels,
        predictions=predictions,
        confidence=confidence,
        nll=nll,
        brier=brier,
    )
    return {
        "accuracy": accuracy(labels, predictions),
        "nll": float(np.mean(nll)),
        "brier": float(np.mean(brier)),
        "ece": expected_calibration_error(confidence, labels == predictions),
    }


def _columns(**columns: ArrayLike) -> list[FloatArray]:
    """Returns every column as finite float64 `[N]`, all of one length."""
    arrays = {name: finite(values, name) for name, values in columns.items()}
    sizes = {name: array.size for name, array in arrays.items()}
    if len(set(sizes.values())) > 1:
        held = ", ".join(f"{name} {size}" for name, size in sizes.items())
        raise InputError(f"Give one number per image in every column, not {held}.")
    return list(arrays.values())
