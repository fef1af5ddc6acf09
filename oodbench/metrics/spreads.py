"""How far means over images vary from sample to sample."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oodbench.base.errors import InputError
from oodbench.metrics.order import added_at
from oodbench.metrics.ranking import FloatArray

ROUNDING = 1e-12
"""Relative differences below this are rounding errors; one image changes far more."""


class Placements(NamedTuple):
    """What each image adds to the AUROC, which is the mean of either row."""

    inside: FloatArray
    """`[…, N]`: the share of OOD images below each ID image; ties count half."""
    outside: FloatArray
    """`[…, M]`: the share of ID images above each OOD image; ties count half."""


class Clusters(NamedTuple):
    """Which images of either class share an origin and are drawn together."""

    inside: ArrayLike | None = None
    """`[N]`, equal for images of one origin; None where every image has its own."""
    outside: ArrayLike | None = None
    """`[M]`."""

    def swapped(self) -> Clusters:
        """Returns the same with the classes swapped."""
        return Clusters(self.outside, self.inside)


INDEPENDENT = Clusters()


@dataclass(frozen=True)
class Units:
    """How far images, or clusters, of one class deviate from the mean, in rows `[…]`.

    A deviation is by how much a unit moves the mean, times their number. All of a row
    are 0 where they are equal but for rounding.
    """

    count: int
    """How many units a row has."""
    lowest: FloatArray
    """`[…]`, the lowest deviation, and the highest."""
    highest: FloatArray
    sums: FloatArray
    """`[4, …]`, the sums of the deviations and of their squares, cubes and fourths."""

    @property
    def largest(self) -> FloatArray:
        """`[…]`, the largest deviation in either direction."""
        return np.maximum(-self.lowest, self.highest)

    def mirrored(self) -> Units:
        """Returns the same with the sign of each deviation turned."""
        one, two, three, four = self.sums
        sums = np.stack([-one, two, -three, four])
        return Units(self.count, -self.highest, -self.lowest, sums)


class Spread(NamedTuple):
    """How far means of placements `[…]` vary from sample to sample."""

    variance: FloatArray
    """At least 0; infinity where a class has a single image or cluster."""
    units: int
    """Images, or clusters, of the class that has fewer."""
    freedom: FloatArray
    """Degrees of freedom of the variance; infinity where the variance is 0."""

    def quantile(self, tail: float) -> FloatArray:
        """Returns how many standard errors leave `tail` in (0, 1/2) above them."""
        from scipy.special import stdtrit

        return -stdtrit(self.freedom, tail)

    def p_value(self, value: FloatArray) -> FloatArray:
        """Returns the chance that a mean of 0 comes out as far off as `value`."""
        from scipy.special import stdtr

        return 2 * stdtr(self.freedom, -np.abs(value) / np.sqrt(self.variance))


def deviations(means: Placements, clusters: Clusters) -> list[Units]:
    """Returns the units of both classes, from what each image adds."""
    return [
        units_of(values, labels, name)
        for values, labels, name in zip(means, clusters, Clusters._fields, strict=True)
    ]


def units_of(values: FloatArray, labels: ArrayLike | None, name: str) -> Units:
    """Returns the units of rows `[…, N]` of one class."""
    # Sorted, so that the order of the images does not change a bit of the sums.
    found = np.sort(values, axis=-1)
    means = found.mean(axis=-1, keepdims=True)
    if labels is None:
        found, largest = found - means, 1.0
    else:
        images = values.shape[-1]
        numbers, count = cluster_numbers(labels, images, name)
        sums = summed(values - means, numbers, count)
        found = np.sort(sums, axis=-1) * count / images
        largest = float(np.bincount(numbers).max()) * count / images
    lowest, highest = found[..., 0], found[..., -1]
    found[np.maximum(-lowest, highest) <= ROUNDING * largest] = 0
    squares = found**2
    powers = found, squares, squares * found, squares**2
    added = np.stack([power.sum(axis=-1) for power in powers])
    return Units(found.shape[-1], lowest, highest, added)


def joined(parts: Sequence[Units]) -> Units:
    """Returns the units of all rows of some blocks."""
    return Units(
        parts[0].count,
        np.concatenate([part.lowest for part in parts]),
        np.concatenate([part.highest for part in parts]),
        np.concatenate([part.sums for part in parts], axis=1),
    )


def spread_of(
    units: Sequence[Units], missed: Sequence[FloatArray] | None = None
) -> Spread:
    """Returns the spreads of means `[…]` from their deviations in each class.

    The variance is the sum of the variances of the two classes (DeLong, DeLong and
    Clarke-Pearson, Biometrics, 1988). Images that share an origin count together
    (Obuchowski, Biometrics, 1997).

    Args:
        units: Of each class.
        missed: For each class the deviations `[…]` of one more unit, which the sample
            missed.
    """
    more = [None] * len(units) if missed is None else missed
    counts = [unit.count + (missed is not None) for unit in units]
    if min(counts) < 2:
        endless = np.full_like(units[0].sums[0], math.inf)
        return Spread(endless, min(counts), endless)
    return _spread(counts, list(map(_moments, units, more)))


def summed(values: FloatArray, numbers: NDArray[np.intp], count: int) -> FloatArray:
    """Returns the sums `[…, count]` of values `[…, N]` over the clusters `[N]`."""
    return added_at(np.broadcast_to(numbers, values.shape), count, values)


def cluster_numbers(
    labels: ArrayLike, images: int, name: str
) -> tuple[NDArray[np.intp], int]:
    """Returns the clusters `[N]` numbered from 0, and how many there are."""
    if np.shape(labels) != (images,):
        raise InputError(
            f"The clusters of the {name} images have the shape "
            f"{list(np.shape(labels))}; give one number for each of {images} images."
        )
    kinds, numbers = np.unique(labels, return_inverse=True)
    return numbers, kinds.size


def _moments(units: Units, missed: FloatArray | None) -> tuple[Any, Any]:
    """Returns the second and fourth central moments, with a missed unit."""
    if missed is None:
        return units.sums[1] / units.count, units.sums[3] / units.count
    square = missed * missed
    added = np.array([missed, square, square * missed, square * square])
    mean, two, three, four = (units.sums + added) / (units.count + 1)
    fourth = four - 4 * mean * three + 6 * mean**2 * two - 3 * mean**4
    return two - mean**2, fourth


def _spread(counts: Sequence[int], moments: Sequence[tuple[Any, Any]]) -> Spread:
    """Returns a spread from the units of each class and their moments."""
    parts, doubts = [], []
    for count, (second, fourth) in zip(counts, moments, strict=True):
        part = second / (count - 1)
        normal = 2 * part**2 / (count - 1)
        # The fourth moment is too low in small samples, so it may only add doubt.
        of_part = (fourth - second**2 * (count - 3) / (count - 1)) / count**3
        parts.append(part)
        doubts.append(np.maximum(normal, of_part))
    variance, doubt = np.sum(parts, axis=0), np.sum(doubts, axis=0)
    # Satterthwaite (Biometrics Bulletin, 1946): as many as a variance has that is
    # equally uncertain and comes from normal values.
    freedom = 2 * variance**2 / np.where(doubt > 0, doubt, 1)
    return Spread(variance, min(counts), np.where(doubt > 0, freedom, math.inf)[()])
