"""Logit of features that are weighted by their size."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from oodbench import Known, Outputs
from oodbench.detectors._checks import check_variant
from oodbench.detectors._head import weights
from oodbench.scoring.fitting.quantiles import quantiles
from oodbench.scoring.fitting.statistics import in_blocks
from oodbench.scoring.shaping import Shaping

BINS = 100
LENGTH = 1000.0
"""Of the vector of all factors; it matters to the energy alone."""


@dataclass
class OptFS(Shaping):
    """w_ĉ · z′, with z′ = θ(z) z, where θ depends on the size of a feature alone.

    θ is constant in each of 100 equal bins between the 0.1th and the 99.9th percentile
    of all training features, and 0 outside. Its value is proportional to the sum of
    w_ĉd z_d over the features of training images in the bin, so that these images have
    the largest logits that a θ of this length can give. ĉ is the class predicted before
    shaping, and the bias is left out: variant `vanilla`. The variant `energy` is
    LogSumExp_y of the logits of z′, as in the code of CADRef.

    Zhao, Xu, Gupta, Asthana, Zheng and Gould, Towards Optimal Feature-Shaping Methods
    for Out-of-Distribution Detection, ICLR 2024, arXiv 2402.00865.
    """

    fitted_on = "train"

    variant: str = "vanilla"
    """vanilla or energy."""
    _low: float = field(init=False, repr=False)
    _width: float = field(init=False, repr=False)
    _factors: Tensor = field(init=False, repr=False)

    def __post_init__(self) -> None:
        check_variant(self.variant, ("vanilla", "energy"))

    def fit(self, known: Known) -> None:
        """Keeps the factor of each bin."""
        features = known.features
        self._low, high = quantiles(features, [0.001, 0.999])
        self._width = (high - self._low) / BINS
        if not self._width > 0:
            raise ValueError(f"nearly all training features are {high:g}")
        weight, top = weights(known.head), known.logits.argmax(1)
        sums = torch.zeros(BINS + 1, dtype=torch.float64)
        for start, block in in_blocks(features):
            gains = block * weight[top[start : start + len(block)]]
            sums.index_add_(0, self._bins(block).flatten(), gains.flatten())
        sums[BINS] = 0
        if not sums.any():
            raise ValueError("the training features add nothing to the largest logits")
        self._factors = sums * (LENGTH / sums.norm())

    def shape(self, batch: Outputs) -> Outputs:
        """Returns the outputs of weighted features."""
        features = batch.features.double()
        return batch.shaped(features * self._factors[self._bins(features)])

    def score(self, batch: Outputs) -> Tensor:
        """Returns the logit of the predicted class, or the energy, `[N]`."""
        if self.variant == "energy":
            return super().score(batch)
        top = weights(batch.head)[batch.logits.argmax(1)]
        return (top * self.shape(batch).features).sum(1)

    def _bins(self, features: Tensor) -> Tensor:
        """Returns the bin of each feature, BINS for those outside."""
        found = ((features - self._low) / self._width).floor()
        return torch.where((found >= 0) & (found < BINS), found, BINS).long()
