"""Gaussians of the features, which the Mahalanobis detectors share."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from oodbench import Known
from oodbench.scoring.fitting import statistics

logger = logging.getLogger(__name__)


class Gaussians(NamedTuple):
    """Gaussians with one covariance, in coordinates where it is the identity."""

    root: Tensor
    """`[R, D]`, whitens features."""
    centre: Tensor
    """`[D]`, the new origin; distances from near it keep their digits."""
    means: Tensor
    """`[C, R]`, whitened."""

    def squared(self, features: Tensor) -> Tensor:
        """Returns squared Mahalanobis distances of `[N, D]` features, `[N, C]`."""
        white = (features.double() - self.centre) @ self.root.T
        # By differences: the matrix product would lose digits near the means.
        mode = "donot_use_mm_for_euclid_dist"
        return torch.cdist(white, self.means, compute_mode=mode).square()


def gaussians(means: Tensor, covariance: Tensor, cutoff: float = 0.0) -> Gaussians:
    """Returns Gaussians with means `[C, D]` and one covariance `[D, D]`."""
    root = statistics.whitening(covariance, cutoff)
    centre = means.mean(0)
    return Gaussians(root, centre, (means - centre) @ root.T)


@dataclass(frozen=True)
class Classes:
    """Statistic: a Gaussian per class with images.

    All have the covariance within the classes, divided by the number of images.
    """

    unit: bool = False
    """Whether features are scaled to length 1."""
    cutoff: float = 0.0

    def __call__(self, known: Known) -> Gaussians:
        """Returns the Gaussians."""
        return of_classes(class_moments(known, self.unit), self.cutoff)


@dataclass(frozen=True)
class Background:
    """Statistic: one Gaussian of all images, with their biased covariance."""

    unit: bool = False
    """Whether features are scaled to length 1."""
    cutoff: float = 0.0

    def __call__(self, known: Known) -> Gaussians:
        """Returns the Gaussian."""
        found = class_moments(known, self.unit)
        if (found.counts > 0).sum() < 2:
            raise ValueError(
                "the training images are of one class, and its Gaussian is that of all"
            )
        total = found.total()
        return _checked(total.mean[None], total.scatter, total.images, self.cutoff)


def of_classes(found: statistics.ClassMoments, cutoff: float = 0.0) -> Gaussians:
    """Returns a Gaussian per class with images, all of the covariance within them."""
    means = found.means[found.counts > 0]
    return _checked(means, found.within, int(found.counts.sum()), cutoff)


def class_moments(known: Known, unit: bool) -> statistics.ClassMoments:
    """Returns the moments by class of the features, or of those of length 1."""
    if unit:
        return known.shared(statistics.unit_class_moments)
    return known.shared(statistics.class_moments)


def check_cutoff(cutoff: float) -> None:
    """Raises ValueError for a cut-off outside [0, 1)."""
    if not 0 <= cutoff < 1:
        raise ValueError(f"cutoff must be at least 0 and below 1, got {cutoff}")


def _checked(means: Tensor, total: Tensor, images: int, cutoff: float) -> Gaussians:
    if not total.any():
        raise ValueError(f"the features of {images} images do not vary within classes")
    found = gaussians(means, total / images, cutoff)
    if (rank := len(found.root)) < len(total):
        logger.warning(
            "The covariance of the features has rank %d of %d; what lies outside its "
            "span does not count in Mahalanobis distances.",
            rank,
            len(total),
        )
    return found
