"""Calibrates the confidence of a classifier by one number, the temperature.

A logit may be −inf: that class is masked and has the probability 0 at any temperature.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oodbench.base.errors import InputError
from oodbench.metrics.calibration import summary
from oodbench.metrics.ranking import FloatArray

VALUES = 2**22
"""Logits whose probabilities are in memory at once."""


class Graded(NamedTuple):
    """How well a classifier predicts the labels of some images."""

    confidence: FloatArray
    """`[N]`, the largest softmax probability, in [0, 1]."""
    correct: NDArray[np.bool_]
    """`[N]`, whether the prediction is right."""
    values: dict[str, float]
    """What `calibration.summary` returns."""


def fit_temperature(logits: ArrayLike, labels: ArrayLike) -> float:
    """Returns the T > 0 that minimises the NLL of softmax(logits / T).

    Temperature scaling (Guo, Pleiss, Sun and Weinberger, ICML 2017, arXiv 1706.04599);
    fit it on images that served neither training nor testing. The NLL is convex in
    1 / T, so its minimum is where the derivative is 0. There is none where every
    prediction is right, since the NLL then falls all the way to T = 0, and none where
    the label's logit is on average no higher than the mean of an image's logits, since
    it then falls all the way to infinity.

    Args:
        logits: `[N, K]`, finite or −inf for a masked class.
        labels: `[N]`, class numbers from 0.

    Raises:
        InputError: There is no such T.

    >>> round(fit_temperature([[3, 0]] * 4, [0, 0, 0, 1]), 6)  # e^(3 / T) = 3 to 1
    2.730718
    """
    from scipy.optimize import brentq

    margins = _margins(*_checked(logits, labels))
    # On one scale the solver's steps and its rounding are those of any other.
    scale = float(np.abs(margins[np.isfinite(margins)]).max()) or 1.0
    margins /= scale
    if _slope(margins, 0) >= 0:
        raise InputError(
            f"The logits predict the {len(margins)} labels that the temperature would "
            "be fitted on no better than chance, so that no temperature is high "
            "enough; the usual cause is labels of other classes or wrong preprocessing."
        )
    if margins.max() <= 0:
        raise InputError(
            f"All {len(margins)} predictions that the temperature would be fitted on "
            "are right, so that no temperature is low enough; fit it on more images, "
            "some of them misclassified."
        )
    steep = 1.0
    while _slope(margins, steep) <= 0:
        steep *= 2
    tiny = np.finfo(np.float64).tiny
    inverse = brentq(lambda inverse: _slope(margins, inverse), 0, steep, xtol=tiny)
    return float(scale / inverse)


def _margins(logits: FloatArray, labels: NDArray[np.intp]) -> FloatArray:
    """Returns the logits `[N, K]` less the label's, which must be finite."""
    of_labels = np.take_along_axis(logits, labels[:, None], axis=1)
    impossible = np.flatnonzero(np.isneginf(of_labels))
    if impossible.size:
        raise InputError(
            f"The label's own logit is -inf for {impossible.size} of {len(labels)} "
            f"images, first for image {impossible[0]}, so that the NLL is infinite at "
            "any temperature; fit it on images of classes that are not masked."
        )
    return logits - of_labels


def _slope(margins: FloatArray, inverse: float) -> float:
    """Returns the derivative of the NLL by 1 / T, from logits less the label's."""
    step = max(1, VALUES // margins.shape[1])
    starts = range(0, len(margins), step)
    slopes = [_slopes(margins[start : start + step], inverse) for start in starts]
    return float(np.mean(np.concatenate(slopes)))


def _slopes(margins: FloatArray, inverse: float) -> FloatArray:
    """Returns the derivative of each image's loss, `[N]`."""
    from scipy.special import softmax

    masked = np.isneginf(margins)
    weighed = np.where(masked, 0, margins)
    shares = softmax(np.where(masked, -np.inf, inverse * weighed), axis=1)
    return np.sum(shares * weighed, axis=1)


def grade(logits: ArrayLike, labels: ArrayLike, *, temperature: float = 1.0) -> Graded:
    """Returns how well softmax(logits / temperature) predicts the labels.

    The temperature changes no prediction, hence not the accuracy.

    Args:
        logits: `[N, K]`, finite or −inf for a masked class.
        labels: `[N]`, class numbers from 0.
        temperature: Above 0.

    Returns:
        The grades; the NLL is infinite where the label's own class is masked.
    """
    from scipy.special import log_softmax

    logits, labels = _checked(logits, labels)
    log_p = log_softmax(logits / temperature, axis=1)
    truth = np.arange(logits.shape[1]) == labels[:, None]
    confidence, predictions = np.exp(log_p.max(axis=1)), logits.argmax(axis=1)
    values = summary(
        labels,
        predictions,
        confidence=confidence,
        nll=-log_p[truth],
        brier=np.square(np.exp(log_p) - truth).sum(axis=1),
    )
    return Graded(confidence, predictions == labels, values)


def _checked(
    logits: ArrayLike, labels: ArrayLike
) -> tuple[FloatArray, NDArray[np.intp]]:
    """Returns `[N, K]` logits as float64 and `[N]` labels that are classes."""
    logits, labels = np.asarray(logits, dtype=np.float64), np.asarray(labels)
    if logits.ndim != 2 or labels.shape != logits.shape[:1] or not logits.size:
        raise InputError(
            f"Give logits [N, K] and labels [N], not {list(logits.shape)} and "
            f"{list(labels.shape)}."
        )
    bad = np.flatnonzero((np.isnan(logits) | np.isposinf(logits)).any(axis=1))
    if bad.size:
        raise InputError(
            f"The logits have NaN or +inf for {bad.size} of {len(logits)} images, "
            f"first for image {bad[0]}; every logit must be finite, or -inf for a "
            "masked class."
        )
    empty = np.flatnonzero(np.isneginf(logits).all(axis=1))
    if empty.size:
        raise InputError(
            f"All logits are -inf for {empty.size} of {len(logits)} images, first for "
            f"image {empty[0]}; at least one class must not be masked."
        )
    classes = range(logits.shape[1])
    if labels.dtype.kind not in "iu" or not np.isin(labels, classes).all():
        raise InputError(
            f"The labels must be class numbers from 0 to {classes[-1]}; they go from "
            f"{labels.min()} to {labels.max()}."
        )
    return logits, labels.astype(np.intp)
