"""How far differences of placements deviate from their mean, counted in integers.

A placement is a whole number of half images of the other class. Sums over images of
products of up to four of them are matrix products, taken for all pairs of detectors at
once and without rounding; the powers of differences follow from them. So neither the
order of the images nor the other detectors change a bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oodbench.metrics.ranking import FloatArray
from oodbench.metrics.spreads import Clusters, Placements, Units, joined, units_of

AT_ONCE = 1 << 16
"""Images times detectors that are multiplied at once; they fit into a cache."""
FLOAT_BITS, INTEGER_BITS = 53, 63
"""Floats and 64-bit integers hold every whole number of so many bits."""
Pairs = Sequence[tuple[int, int]] | NDArray[np.intp]
"""`[P, 2]`, the rows of the first and of the second detector of each pair."""
Integers = NDArray[Any]
"""Integers that hold every sum: 64-bit ones, or Python's, which take any size."""


def areas(placed: Placements) -> FloatArray:
    """Returns the AUROCs of placements `[…, N]` and `[…, M]`, rounded once."""
    inside, outside = placed
    halves = np.rint(inside * (2 * outside.shape[-1]))
    return halves.sum(axis=-1) / (2 * inside.shape[-1] * outside.shape[-1])


def units_of_differences(
    placed: Placements, pairs: Pairs, clusters: Clusters
) -> list[Units]:
    """Returns the units of both classes, from differences of placements.

    Args:
        placed: `[D, N]` and `[D, M]`, of the same images by D detectors.
        pairs: P pairs of rows; the second is taken from the first.
        clusters: Images that share an origin. Their units are no whole numbers.
    """
    found = []
    sizes = reversed([rows.shape[1] for rows in placed])
    for rows, others, labels, name in zip(
        placed, sizes, clusters, Clusters._fields, strict=True
    ):
        one = 2 * others
        if labels is None and 3 * one.bit_length() <= INTEGER_BITS:
            found.append(_counted(np.rint(rows * one).astype(np.int64), one, pairs))
        else:
            apart = (rows[[a]] - rows[[b]] for a, b in pairs)
            found.append(joined([units_of(each, labels, name) for each in apart]))
    return found


def _counted(whole: NDArray[np.int64], one: int, pairs: Pairs) -> Units:
    """Returns the units of differences of numbers `[D, N]`; `one` stands for 1."""
    n = whole.shape[1]
    # No term below is larger than 6 (n one)^4, nor any sum of them than 14.
    fits = 14 * (n * one) ** 4 < 1 << INTEGER_BITS
    kind = np.int64 if fits else object
    s1, s2, s3, s4 = _powers(whole, one.bit_length(), pairs, kind)
    about_mean = [
        0 * s1,
        (n * s2 - s1**2) / (n * one**2),
        (n**2 * s3 - 3 * n * s1 * s2 + 2 * s1**3) / (n**2 * one**3),
        (n**3 * s4 - 4 * n**2 * s1 * s3 + 6 * n * s1**2 * s2 - 3 * s1**4)
        / (n**3 * one**4),
    ]
    ends = np.array(_ends(whole.astype(np.int32), pairs), dtype=kind)
    lowest, highest = ((n * ends - s1) / (n * one)).astype(np.float64)
    return Units(n, lowest, highest, np.array(about_mean, dtype=np.float64))


def _ends(whole: NDArray[np.int32], pairs: Pairs) -> list[NDArray[np.int32]]:
    """Returns the lowest and the highest difference, each `[P]`."""
    lowest, highest = [], []
    step = max(1, AT_ONCE // whole.shape[1])
    for start in range(0, len(pairs), step):
        first, second = np.transpose(pairs[start : start + step])
        apart = whole[first] - whole[second]
        lowest.append(apart.min(axis=1))
        highest.append(apart.max(axis=1))
    return [np.concatenate(lowest), np.concatenate(highest)]


def _powers(
    whole: NDArray[np.int64], bits: int, pairs: Pairs, kind: type
) -> list[Integers]:
    """Returns the sums `[P]` of the first four powers of differences."""
    totals = whole.sum(axis=1).astype(kind)
    ab, aab, aaab, aabb = _products(whole, bits, kind)
    i, j = np.transpose(pairs)
    return [
        totals[i] - totals[j],
        ab[i, i] - 2 * ab[i, j] + ab[j, j],
        aab[i, i] - 3 * aab[i, j] + 3 * aab[j, i] - aab[j, j],
        aabb[i, i] - 4 * aaab[i, j] + 6 * aabb[i, j] - 4 * aaab[j, i] + aabb[j, j],
    ]


def _products(whole: NDArray[np.int64], bits: int, kind: type) -> list[Integers]:
    """Returns the sums `[D, D]` of ab, a²b, a³b and a²b² of numbers of so many bits."""
    detectors, images = whole.shape
    # Sums over all images of products of two digits are exact.
    width = (FLOAT_BITS - images.bit_length()) // 2
    powers = (1, 1), (2, 1), (3, 1), (2, 2)
    total: list[Any] = [0.0] * len(powers)
    step = max(1, AT_ONCE // detectors)
    for start in range(0, images, step):
        part = whole[:, start : start + step]
        cubes = part * (squares := part * part)
        digits = {
            k: _digits(power, k * bits, width)
            for k, power in enumerate((part, squares, cubes), start=1)
        }
        for number, (k, other) in enumerate(powers):
            products = digits[k][:, None] @ digits[other].swapaxes(1, 2)
            total[number] = total[number] + products
    return [_joined_digits(each, width, kind) for each in total]


def _digits(values: NDArray[np.int64], bits: int, width: int) -> FloatArray:
    """Returns numbers `[D, N]` as digits of so many bits, `[digits, D, N]`."""
    mask = (1 << width) - 1
    parts = [(values >> at) & mask for at in range(0, bits, width)]
    return np.array(parts, dtype=np.float64)


def _joined_digits(sums: FloatArray, width: int, kind: type) -> Integers:
    """Returns `[D, D]` numbers from the sums of products of their digits."""
    found: Integers = sums.astype(np.int64).astype(kind)
    return sum(found[i, j] << (width * (i + j)) for i, j in np.ndindex(found.shape[:2]))
