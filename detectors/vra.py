"""Energy after removing small features and clipping large ones."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from oodbench import Known, Outputs
from oodbench.scoring.fitting.quantiles import column_quantiles
from oodbench.scoring.shaping import Shaping


@dataclass
class VRA(Shaping):
    """LogSumExp_y of the logits of z′: z if low ≤ z ≤ high, high above, 0 below.

    The limits are quantiles of each feature over the training images. The defaults are
    those of the paper's code for CIFAR-10. OpenOOD and pytorch-ood raise small features
    to the lower limit instead: variant `clamp`; their limits differ, too.

    Xu, Lian, Liu and Tao, VRA: Variational Rectified Activation for Out-of-distribution
    Detection, NeurIPS 2023, arXiv 2302.11716.
    """

    fitted_on = "train"

    low: float = 0.6
    """Quantile of the lower limit, in [0, 1]."""
    high: float = 0.9
    """Quantile of the upper limit, from `low` to 1."""
    variant: str = "zero"
    """`zero` or `clamp`: what small features become."""
    _low: Tensor = field(init=False, repr=False)
    _high: Tensor = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not 0 <= self.low <= self.high <= 1:
            raise ValueError(
                f"0 ≤ low ≤ high ≤ 1 must hold, got {self.low} and {self.high}"
            )
        if self.variant not in ("zero", "clamp"):
            raise ValueError(f"variant must be zero or clamp, got {self.variant!r}")

    def fit(self, known: Known) -> None:
        """Keeps both limits of each feature."""
        self._low, self._high = column_quantiles(known.features, [self.low, self.high])

    def shape(self, batch: Outputs) -> Outputs:
        """Returns the outputs of rectified features."""
        features = batch.features.double()
        low, high = self._low, self._high
        small = low if self.variant == "clamp" else torch.zeros_like(low)
        raised = torch.where(features < low, small, features)
        return batch.shaped(torch.where(features > high, high, raised))
