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


class Places(NamedTuple):
    """Where the scores of two classes are among all different scores, descending."""

    inside: NDArray[np.intp]
    """`[N]`, the place of each ID score, from 0 for the highest."""
    outside: NDArray[np.intp]
    """`[M]`."""
    images: NDArray[np.intp]
    """`[T]`, how many images have each score."""


class Counts(NamedTuple):
    """How many images score at least each threshold, each `[T]`, from none to all."""

    positives: NDArray[np.intp]
    negatives: NDArray[np.intp]

    def mirrored(self) -> Counts:
        """Returns the counts of negated scores with the other class as positives."""
        return Counts(
            self.negatives[-1] - self.negatives[::-1],
            self.positives[-1] - self.positives[::-1],
        )


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
    return area(count(id_scores, ood_scores))


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
    return average_precision(count(id_scores, ood_scores))


def aupr_out(id_scores: ArrayLike, ood_scores: ArrayLike) -> float:
    """Returns the average precision with OOD images as positives, in (0, 1].

    It is `aupr_in` of the negated scores with the classes swapped.

    >>> aupr_out([3, 1], [2])  # at recall 1 there are half of the ID images too
    0.6666666666666666
    """
    return average_precision(count(id_scores, ood_scores).mirrored())


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
    if convention not in ("id", "openood"):
        raise InputError(f"No convention {convention!r}; take 'id' or 'openood'.")
    counts = count(id_scores, ood_scores)
    return fpr(counts if convention == "id" else counts.mirrored(), tpr)


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
    return RocCurve(
        fpr=counts.negatives / counts.negatives[-1],
        tpr=counts.positives / counts.positives[-1],
        thresholds=_thresholds(id_scores, ood_scores),
    )


def tie_share(scores: ArrayLike) -> float:
    """Returns the share of `[N]` scores that equal another one, in [0, 1].

    >>> tie_share([1, 1, 0.5, 0.25])
    0.5
    """
    return tied(np.unique(finite(scores, "scores"), return_counts=True)[1])


def tied(images: NDArray[np.intp]) -> float:
    """Returns `tie_share` from how many images `[T]` have each score."""
    return int(images[images > 1].sum()) / int(images.sum())


def quantiles(id_scores: ArrayLike, scores: ArrayLike) -> FloatArray:
    """Returns for each score `[M]` the share of ID scores below it, in [0, 1].

    ID scores that are equal to it count half: the mean over OOD scores is 1 − AUROC.

    >>> quantiles([1, 2, 3, 4], [0, 2, 2.5]).tolist()
    [0.0, 0.375, 0.5]
    """
    inside, others = np.sort(finite(id_scores, "id_scores")), finite(scores, "scores")
    below = np.searchsorted(inside, others, "left")
    return (below + np.searchsorted(inside, others, "right")) / (2 * inside.size)


def places_of(id_scores: ArrayLike, ood_scores: ArrayLike) -> Places:
    """Returns the places of `[N]` ID and `[M]` OOD scores, sorted once."""
    inside, outside = finite(id_scores, "id_scores"), finite(ood_scores, "ood_scores")
    _, places, images = np.unique(
        -np.append(inside, outside), return_inverse=True, return_counts=True
    )
    return Places(places[: inside.size], places[inside.size :], images)


def counts_of(places: Places) -> Counts:
    """Returns how many ID and OOD images score at least each threshold."""
    different = places.images.size
    positives, negatives = (
        np.append(0, np.cumsum(np.bincount(part, minlength=different)))
        for part in (places.inside, places.outside)
    )
    return Counts(positives, negatives)


def count(id_scores: ArrayLike, ood_scores: ArrayLike) -> Counts:
    """Returns how many ID and OOD images score at least each threshold."""
    return counts_of(places_of(id_scores, ood_scores))


def _thresholds(id_scores: ArrayLike, ood_scores: ArrayLike) -> FloatArray:
    scores = np.append(id_scores, ood_scores).astype(np.float64)
    return np.append(np.inf, np.unique(scores)[::-1])


def area(counts: Counts) -> float:
    """Returns the area under the ROC curve, in [0, 1]."""
    positives, negatives = counts
    # Twice the positives above each new negative, those that tie with it counted once.
    above = positives[:-1] + positives[1:]
    pairs = int(positives[-1]) * int(negatives[-1])
    return int(np.sum(np.diff(negatives) * above)) / (2 * pairs)


def average_precision(counts: Counts) -> float:
    """Returns the average precision, in (0, 1]; see `aupr_in`."""
    positives, negatives = counts
    # Each class times the size of the other makes their totals equal, and stays exact.
    true, false = negatives[-1] * positives[1:], positives[-1] * negatives[1:]
    steps = np.diff(positives)
    return float(np.sum(steps * (true / (true + false))) / positives[-1])


def fpr(counts: Counts, tpr: float = 0.95) -> float:
    """Returns the share of negatives at a share of positives; see `fpr_at_tpr`."""
    positives, negatives = counts
    point = _first_reaching(positives / positives[-1], tpr)
    return int(negatives[point]) / int(negatives[-1])


def _first_reaching(shares: FloatArray, tpr: float) -> int:
    if not 0 < tpr <= 1:
        raise InputError(f"A true positive rate of {tpr} is not in (0, 1].")
    return int(np.searchsorted(shares, tpr - _ROUNDING))
