"""The order of the images of two classes by their scores, of many detectors at once.

Arrays have one row per detector, or no rows: a shape `[…, N]` stands for `[D, N]` and
`[N]`. No detector changes a bit of what another one has.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oodbench.base.errors import InputError


class Counts(NamedTuple):
    """How many images score at least each threshold, from none to all."""

    positives: NDArray[np.intp]
    """`[…, T]`."""
    negatives: NDArray[np.intp]


class Order(NamedTuple):
    """The images of two classes from the highest score down.

    The place of an image is how many others score higher, so that tied ones share it.
    """

    inside: NDArray[np.intp]
    """`[…, N]`, the place of each ID image."""
    outside: NDArray[np.intp]
    """`[…, M]`."""
    places: NDArray[np.intp]
    """`[…, n]`, the places of all n = N + M images, ascending."""
    counts: Counts
    """`[…, n + 1]`, ID images as positives: of no image, and of those that score at
    least as much as the first, the second, … the last one."""

    @property
    def size(self) -> int:
        """The number n of images."""
        return self.places.shape[-1]

    @property
    def shared(self) -> NDArray[np.intp]:
        """`[…, n]`, how many images share each place; 0 where none has it."""
        return np.diff(self.counts.positives + self.counts.negatives)

    def mirrored(self) -> Order:
        """Returns the order of the negated scores, OOD images as positives."""
        positives, negatives = self.counts
        lower = self.size - (positives + negatives)[..., 1:]
        none = np.zeros_like(lower[..., :1])
        counts = []
        for part in (negatives, positives):
            not_higher = part[..., -1:] - at(part, self.places)
            counts.append(np.concatenate([none, not_higher[..., ::-1]], axis=-1))
        return Order(
            at(lower, self.outside),
            at(lower, self.inside),
            lower[..., ::-1],
            Counts(*counts),
        )


def order_of(id_scores: NDArray[np.float64], ood_scores: NDArray[np.float64]) -> Order:
    """Returns the order of `[…, N]` ID and `[…, M]` OOD scores, all finite.

    Raises:
        InputError: A class has no images.
    """
    if not (id_scores.shape[-1] and ood_scores.shape[-1]):
        raise InputError("A class has no scores; give at least one image of each.")
    negated = -np.concatenate([id_scores, ood_scores], axis=-1)
    images = np.argsort(negated, axis=-1)
    ascending = at(negated, images)
    size = ascending.shape[-1]
    is_lower = ascending[..., 1:] > ascending[..., :-1]
    starts = np.where(is_lower, np.arange(1, size), 0)
    ordered = np.zeros_like(images)
    np.maximum.accumulate(starts, axis=-1, out=ordered[..., 1:])
    places = np.empty_like(ordered)
    places.reshape(-1)[_flat(images, size)] = ordered
    inside, outside = np.split(places, [id_scores.shape[-1]], axis=-1)
    counts = Counts(_counted(inside, size), _counted(outside, size))
    return Order(inside, outside, ordered, counts)


def at(values: NDArray[Any], places: NDArray[np.intp]) -> NDArray[Any]:
    """Returns the values at places `[…, m]` of the same row of `[…, n]`."""
    return np.take(values, _flat(places, values.shape[-1]))


def added_at(
    places: NDArray[np.intp], size: int, values: ArrayLike | None = None
) -> NDArray[Any]:
    """Returns the sums `[…, size]` of the values at each place of a row.

    Args:
        places: `[…, m]`, each below `size`.
        size: How many places a row has.
        values: `[…, m]` or `[m]`; None to count.
    """
    if values is not None:
        values = np.broadcast_to(values, places.shape).ravel()
    rows = places.shape[:-1]
    length = math.prod(rows) * size
    sums = np.bincount(_flat(places, size).ravel(), values, minlength=length)
    return sums.reshape(*rows, size)


def _counted(places: NDArray[np.intp], size: int) -> NDArray[np.intp]:
    """Returns how many images have a place below 0, 1, … n, `[…, n + 1]`."""
    images = added_at(places, size)
    none = np.zeros_like(images[..., :1])
    return np.cumsum(np.concatenate([none, images], axis=-1), axis=-1)


def _flat(places: NDArray[np.intp], size: int) -> NDArray[np.intp]:
    """Returns places in rows of a size as places in all rows, one after another."""
    rows = places.shape[:-1]
    return places + size * np.arange(math.prod(rows)).reshape(*rows, 1)
