"""Statistics of a fitting split that several detectors share, in float64.

Each is a function for `known.shared(function)`, which computes it once for all
detectors. They go through the features in blocks, so that only the result and one block
are held in float64. Sums are of centred values: E[zzᵀ] − μμᵀ would lose digits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from oodbench.scoring.fitting.known import Known

BLOCK = 8192
"""Images that are held in float64 at once."""

Change = Callable[[Tensor], Tensor]
"""Maps a block of rows `[B, D]` to what is taken in their place, `[B, …]`."""


class Moments(NamedTuple):
    """Mean and scatter of features."""

    images: int
    mean: Tensor
    """`[D]`."""
    scatter: Tensor
    """`[D, D]`, the sum of (z − mean)(z − mean)ᵀ; divide by `images` for the biased
    covariance."""


class ClassMoments(NamedTuple):
    """Means of features by class, and their scatter within the classes."""

    counts: Tensor
    """`[K]`, int64."""
    means: Tensor
    """`[K, D]`; zeros for a class without images."""
    within: Tensor
    """`[D, D]`, the sum of (z − mean of its class)(z − mean of its class)ᵀ."""

    def total(self) -> Moments:
        """Returns the moments about the mean of all images."""
        count = int(self.counts.sum())
        weights = self.counts.double()
        mean = weights @ self.means / count
        away = (self.means - mean) * weights.sqrt()[:, None]
        return Moments(count, mean, self.within + away.T @ away)


class ClassMeans(NamedTuple):
    """Means of features over groups of images, one group per class."""

    counts: Tensor
    """`[K]`, int64."""
    means: Tensor
    """`[K, D]`; zeros for a class without images."""

    def filled(self, others: Tensor) -> Tensor:
        """Returns the means, with `others` `[K, D]` or `[D]` for empty groups."""
        return self.means.where(self.counts[:, None] > 0, others)


def feature_mean(known: Known) -> Tensor:
    """Returns the mean of all features, `[D]`."""
    return _mean(known.features)


def class_means(known: Known) -> ClassMeans:
    """Returns the mean features of each true class."""
    return group_means(known.features, class_numbers(known), classes(known))


def moments(known: Known) -> Moments:
    """Returns the moments of all features."""
    return _moments(known.features)


def unit_moments(known: Known) -> Moments:
    """Returns the moments of all features, each scaled to length 1."""
    return _moments(known.features, unit)


def class_moments(known: Known) -> ClassMoments:
    """Returns the moments of the features by true class."""
    means = known.shared(class_means)
    return group_moments(known.features, class_numbers(known), means)


def unit_class_moments(known: Known) -> ClassMoments:
    """Returns the moments by true class of the features, each scaled to length 1."""
    features, groups = known.features, class_numbers(known)
    means = group_means(features, groups, classes(known), unit)
    return group_moments(features, groups, means, unit)


def predicted_means(known: Known) -> ClassMeans:
    """Returns the mean features of the images predicted as each class."""
    return group_means(known.features, known.logits.argmax(1), classes(known))


def correct_means(known: Known) -> ClassMeans:
    """Returns the mean features of each class's correctly classified images."""
    found = group_means(known.features, correct_classes(known), classes(known) + 1)
    return ClassMeans(found.counts[:-1], found.means[:-1])


def classes(known: Known) -> int:
    """Returns the number of classes K."""
    return known.logits.shape[1]


def class_numbers(known: Known) -> Tensor:
    """Returns the true classes `[N]`, each in 0 … K − 1.

    Raises:
        ValueError: A label is no class of the network.
    """
    labels, count = known.labels, classes(known)
    if len(labels) and (labels.min() < 0 or labels.max() >= count):
        raise ValueError(
            f"labels go from {labels.min()} to {labels.max()}; the network's classes "
            f"are 0 to {count - 1}"
        )
    return labels


def correct_classes(known: Known) -> Tensor:
    """Returns the true classes `[N]`, K where the network predicts another one."""
    labels = class_numbers(known)
    return labels.where(known.logits.argmax(1) == labels, classes(known))


def unit(features: Tensor) -> Tensor:
    """Returns features `[N, D]`, each divided by its Euclidean length; 0 stays 0."""
    return features / features.norm(dim=1, keepdim=True).clamp(min=1e-12)


def whitening(covariance: Tensor, cutoff: float = 0.0) -> Tensor:
    """Returns T `[R, D]` with ‖T z‖² = zᵀ C⁺ z for the pseudo-inverse C⁺.

    Args:
        covariance: C `[D, D]`, symmetric, float64.
        cutoff: Eigenvalues up to this share of the largest count as 0, as do those
            within the rounding of float64.
    """
    values, vectors = torch.linalg.eigh((covariance + covariance.T) / 2)
    least = max(cutoff, len(values) * torch.finfo(torch.float64).eps)
    kept = values > least * values[-1].clamp(min=0)
    return (vectors[:, kept] / values[kept].sqrt()).T


def group_means(
    features: Tensor, groups: Tensor, count: int, change: Change | None = None
) -> ClassMeans:
    """Returns the mean of the features `[N, D]` in each of `count` groups.

    Args:
        features: `[N, D]`.
        groups: `[N]`, the group of each image, in 0 … count − 1.
        count: The number of groups.
        change: Applied to blocks of the features first.
    """
    counts = torch.bincount(groups, minlength=count)
    sums = torch.zeros(count, features.shape[1], dtype=torch.float64)
    for start, block in in_blocks(features, change):
        sums.index_add_(0, groups[start : start + len(block)], block)
    return ClassMeans(counts, sums / counts.clamp(min=1)[:, None])


def group_moments(
    features: Tensor, groups: Tensor, found: ClassMeans, change: Change | None = None
) -> ClassMoments:
    """Returns the moments of the features `[N, D]` by group.

    Args:
        features: `[N, D]`.
        groups: `[N]`, the group of each image.
        found: The groups' means, as `group_means` returns them.
        change: What was applied to the features before the means were taken.
    """
    away = (
        block - found.means[groups[start : start + len(block)]]
        for start, block in in_blocks(features, change)
    )
    return ClassMoments(*found, scatter(away, features.shape[1]))


def in_blocks(
    rows: Tensor, change: Change | None = None
) -> Iterator[tuple[int, Tensor]]:
    """Yields the first image's place and the rows of each block, in float64."""
    for start in range(0, len(rows), BLOCK):
        block = rows[start : start + BLOCK].double()
        yield start, change(block) if change else block


def over_blocks(rows: Tensor, value: Change) -> Tensor:
    """Returns what a function makes of each row, computed block by block, in float64.

    Args:
        rows: `[N, D]`.
        value: Maps a block `[B, D]` to its values, `[B, …]`.
    """
    return torch.cat([block for _, block in in_blocks(rows, value)])


def scatter(away: Iterable[Tensor], size: int) -> Tensor:
    """Returns the sum of d dᵀ over all rows d of blocks `[B, D]`, `[D, D]`, float64.

    Args:
        away: The blocks, in float64; differences from a mean, for instance.
        size: D.
    """
    total = torch.zeros(size, size, dtype=torch.float64)
    for block in away:
        total.addmm_(block.T, block)
    return total


def _mean(features: Tensor, change: Change | None = None) -> Tensor:
    together = torch.zeros(len(features), dtype=torch.int64)
    return group_means(features, together, 1, change).means[0]


def _moments(features: Tensor, change: Change | None = None) -> Moments:
    mean = _mean(features, change)
    away = (block - mean for _, block in in_blocks(features, change))
    return Moments(len(features), mean, scatter(away, len(mean)))
