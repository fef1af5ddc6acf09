"""How well scores separate in-distribution (ID) and out-of-distribution images.

A score is higher for ID images. Every number here depends on the order of the scores
alone, counted in integers: no shift, scale or other increasing map changes a bit of it,
as long as it keeps different scores different. Tied images share one threshold.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oodbench.base.errors import InputError
from oodbench.metrics.order import Counts, at, order_of

FloatArray = NDArray[np.float64]

Convention = Literal["id", "openood"]
"""Which images are the positives of FPR at TPR.

id: the ID images, as in ODIN (Liang, Li and Srikant, ICLR 2018, arXiv 1706.02690) and
the energy paper (Liu, Wang, Owens and Li, NeurIPS 2020, arXiv 2010.03759). openood: the
OOD images, as in OpenOOD (Yang et al., NeurIPS 2022, arXiv 2210.07242).
"""

# Far below one image in any set, far above the rounding of a rate such as 1 - 0.7.
_ROUNDING = 1e-12


class RocCurve(NamedTuple):
    """The ROC curve with ID images as positives, from (0, 0) to (1, 1), each `[T]`."""

    fpr: FloatArray
    """Share of OOD images that score at least the threshold."""
    tpr: FloatArray
    """Share of ID images that score at least the threshold."""
    thresholds: FloatArray
    """Infinity, which no score reaches, then every different score, descending."""


def finite(values: ArrayLike, name: str) -> FloatArray:
    """Returns `[N]` values as float64.

    Raises:
        InputError: They are no row, there are none, or one is NaN or infinite.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1:
        raise InputError(
            f"{name} has the shape {list(array.shape)}; give one number per image."
        )
    if array.size == 0:
        raise InputError(f"{name} is empty; give at least one image.")
    bad = np.flatnonzero(~np.isfinite(array))
    if bad.size:
        raise InputError(
            f"{name} has NaN or infinity in {bad.size} of {array.size} places, "
            f"first at index {bad[0]}; every number must be finite."
        )
    return array


def auroc(id_scores: ArrayLike, ood_scores: ArrayLike) -> float:
    """Returns the chance that an ID image scores higher than an OOD image, in [0, 1].

    This is the area under the ROC curve, and the Mann-Whitney statistic divided by the
    number of pairs; a tied pair counts half (Hanley and McNeil, Radiology, 1982).

    Args:
        id_scores: `[N]`.
        ood_scores: `[M]`.

    >>> auroc([3, 2], [1, 2])  # of four pairs three are in order and one is tied
    0.875
    """
    return float(area(_counts(id_scores, ood_scores)))


def aupr_in(id_scores: ArrayLike, ood_scores: ArrayLike) -> float:
    """Returns the average precision with ID images as positives, in (0, 1].

    The sum of precisions, each times the step in recall before it: a straight line
    between two points of the curve would promise too much (Davis and Goadrich, ICML
    2006). Both classes weigh the same, so that sets of different sizes can be compared
    and chance is 0.5.

    Args:
        id_scores: `[N]`.
        ood_scores: `[M]`.

    >>> aupr_in([3, 1], [2])  # precision 1 up to recall 1/2, then 1 / (1 + 1)
    0.75
    """
    return float(average_precision(_counts(id_scores, ood_scores)))


def aupr_out(id_scores: ArrayLike, ood_scores: ArrayLike) -> float:
    """Returns the average precision with OOD images as positives, in (0, 1].

    It is `aupr_in` of the negated scores with the classes swapped.

    >>> aupr_out([3, 1], [2])  # at recall 1 there are half of the ID images too
    0.6666666666666666
    """
    return float(average_precision(_counts(id_scores, ood_scores, "openood")))


def fpr_at_tpr(
    id_scores: ArrayLike,
    ood_scores: ArrayLike,
    *,
    tpr: float = 0.95,
    convention: Convention = "id",
) -> float:
    """Returns the share of negatives that a threshold takes for positives, in [0, 1].

    With convention `id`, OOD images that are accepted where the share `tpr` of the ID
    images is; with `openood`, ID images that are rejected where the share `tpr` of the
    OOD images is. Nothing is interpolated: the threshold is the highest that gives the
    share or more.

    Args:
        id_scores: `[N]`.
        ood_scores: `[M]`.
        tpr: The wanted share of the positives, in (0, 1].
        convention: Which class is positive.

    >>> fpr_at_tpr([4, 3, 2, 1], [2.5, 0], tpr=0.75)  # the threshold is 2
    0.5
    """
    return float(fpr(_counts(id_scores, ood_scores, convention), tpr))


def threshold_at_tpr(id_scores: ArrayLike, tpr: float = 0.95) -> float:
    """Returns the highest score that at least the share `tpr` of `[N]` images reaches.

    Accepting the images that score no less is the operating point of `fpr_at_tpr`.

    >>> threshold_at_tpr([4, 3, 2, 1], tpr=0.75)
    2.0
    """
    descending = np.sort(finite(id_scores, "id_scores"))[::-1]
    shares = np.arange(1, descending.size + 1) / descending.size
    return float(descending[_first_reaching(shares, tpr)])


def roc_curve(id_scores: ArrayLike, ood_scores: ArrayLike) -> RocCurve:
    """Returns the ROC curve of `[N]` ID and `[M]` OOD scores, ID as positives.

    >>> roc_curve([3, 2], [2, 1]).tpr.tolist()
    [0.0, 0.5, 1.0, 1.0]
    """
    counts = count(id_scores, ood_scores)
    scores = np.append(id_scores, ood_scores).astype(np.float64)
    return RocCurve(
        fpr=counts.negatives / counts.negatives[-1],
        tpr=counts.positives / counts.positives[-1],
        thresholds=np.append(np.inf, np.unique(scores)[::-1]),
    )


def tie_share(scores: ArrayLike) -> float:
    """Returns the share of `[N]` scores that equal another one, in [0, 1].

    >>> tie_share([1, 1, 0.5, 0.25])
    0.5
    """
    return float(tied(np.unique(finite(scores, "scores"), return_counts=True)[1]))


def tied(images: NDArray[np.intp]) -> FloatArray:
    """Returns `tie_share` `[…]` from how many images `[…, T]` have each score."""
    return np.where(images > 1, images, 0).sum(axis=-1) / images.sum(axis=-1)


def quantiles(id_scores: ArrayLike, scores: ArrayLike) -> FloatArray:
    """Returns for each score `[M]` the share of ID scores below it, in [0, 1].

    ID scores that are equal to it count half: the mean over OOD scores is 1 − AUROC.

    >>> quantiles([1, 2, 3, 4], [0, 2, 2.5]).tolist()
    [0.0, 0.375, 0.5]
    """
    inside, others = np.sort(finite(id_scores, "id_scores")), finite(scores, "scores")
    below = np.searchsorted(inside, others, "left")
    return (below + np.searchsorted(inside, others, "right")) / (2 * inside.size)


def count(
    id_scores: ArrayLike, ood_scores: ArrayLike, convention: Convention = "id"
) -> Counts:
    """Returns how many of `[N]` ID and `[M]` OOD images score at least each threshold.

    Every different score is one threshold.
    """
    order = order_of(*as_positives(id_scores, ood_scores, convention))
    different = np.append(True, order.shared > 0)
    return Counts(*(part[different] for part in order.counts))


def as_positives(
    id_scores: ArrayLike, ood_scores: ArrayLike, convention: Convention
) -> tuple[FloatArray, FloatArray]:
    """Returns the scores `[N]` of the positives and those of the negatives.

    Positives score higher, so that scores with OOD images as positives are negated.
    """
    inside, outside = finite(id_scores, "id_scores"), finite(ood_scores, "ood_scores")
    if convention not in ("id", "openood"):
        raise InputError(f"No convention {convention!r}; take 'id' or 'openood'.")
    return (inside, outside) if convention == "id" else (-outside, -inside)


def area(counts: Counts) -> FloatArray:
    """Returns the areas `[…]` under the ROC curves, in [0, 1]."""
    positives, negatives = counts
    # Twice the positives above each new negative, those that tie with it counted once.
    above = positives[..., :-1] + positives[..., 1:]
    pairs = positives[..., -1] * negatives[..., -1]
    return np.sum(np.diff(negatives) * above, axis=-1) / (2 * pairs)


def average_precision(counts: Counts) -> FloatArray:
    """Returns the average precisions `[…]`, in (0, 1]; see `aupr_in`."""
    positives, negatives = counts
    # Each class times the size of the other makes their totals equal, and stays exact.
    true = negatives[..., -1:] * positives[..., 1:]
    false = positives[..., -1:] * negatives[..., 1:]
    steps = np.diff(positives)
    return np.sum(steps * (true / (true + false)), axis=-1) / positives[..., -1]


def fpr(counts: Counts, tpr: float = 0.95) -> FloatArray:
    """Returns the shares `[…]` of accepted negatives; see `fpr_at_tpr`."""
    positives, negatives = counts
    point = _first_reaching(positives / positives[..., -1:], tpr)
    return at(negatives, point[..., None])[..., 0] / negatives[..., -1]


def _counts(
    id_scores: ArrayLike, ood_scores: ArrayLike, convention: Convention = "id"
) -> Counts:
    return order_of(*as_positives(id_scores, ood_scores, convention)).counts


def _first_reaching(shares: FloatArray, tpr: float) -> NDArray[np.intp]:
    """Returns the first of the ascending shares `[…, T]` that reaches a rate."""
    if not 0 < tpr <= 1:
        raise InputError(f"A true positive rate of {tpr} is not in (0, 1].")
    return np.count_nonzero(shares < tpr - _ROUNDING, axis=-1)
