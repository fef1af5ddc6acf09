"""Mahalanobis distance to the nearest class mean, in every block."""

from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor

from oodbench import Detector, Known, Need, Outputs
from oodbench.detectors._blocks import apart, beside, pooled
from oodbench.detectors._gaussian import Gaussians, of_classes
from oodbench.scoring.fitting import statistics


def means(outputs: Outputs) -> Tensor:
    """Returns the mean maps of all blocks, `[N, blocks, largest C]`."""
    return beside(pooled(outputs))


@dataclass
class MahalanobisLayers(Detector):
    """−Σ_b min_k (z_b − μ_bk)ᵀ Σ_b⁺ (z_b − μ_bk) / σ_b over the blocks b.

    z_b is the mean of the block's map over its positions. In each block the classes are
    Gaussians of one covariance, as in `mahalanobis`; σ_b is the standard deviation of
    the block's distances over the training images.

    The authors weigh the layers by a regression on OOD or adversarial images and step
    on the pixels first; here no OOD image is used, and no step is made. OpenOOD's
    configuration of this detector reads the first layer alone.

    Lee, Lee, Lee and Shin, A Simple Unified Framework for Detecting Out-of-Distribution
    Samples and Adversarial Attacks, NeurIPS 2018, arXiv 1807.03888.
    """

    needs = Need.BLOCKS | Need.LABELS
    summaries = (means,)
    fitted_on = "train"

    _classes: tuple[Gaussians, ...] = field(init=False, repr=False)
    _spreads: tuple[float, ...] = field(init=False, repr=False)

    def fit(self, known: Known) -> None:
        """Keeps the Gaussians of each block, and how far their distances spread."""
        labels, count = statistics.class_numbers(known), statistics.classes(known)
        found, spreads = [], []
        for number, rows in enumerate(apart(known.summary(means)), 1):
            groups = statistics.group_means(rows, labels, count)
            moments = statistics.group_moments(rows, labels, groups)
            found.append(of_classes(moments))
            distances = statistics.over_blocks(rows, partial(_nearest, found[-1]))
            spreads.append(distances.std(correction=0).item())
            if not spreads[-1] > 0:
                raise ValueError(
                    f"all training images have the same distance in block {number}"
                )
        self._classes, self._spreads = tuple(found), tuple(spreads)

    def score(self, batch: Outputs) -> Tensor:
        """Returns minus the sum over the blocks, `[N]`, ≤ 0."""
        blocks = zip(self._classes, self._spreads, pooled(batch), strict=True)
        distances = [_nearest(own, rows) / spread for own, spread, rows in blocks]
        return -torch.stack(distances).sum(0)


def _nearest(classes: Gaussians, rows: Tensor) -> Tensor:
    return classes.squared(rows).amin(1)
