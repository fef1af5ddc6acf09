"""Energy of features clipped to a usual range."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from oodbench import Known, Outputs
from oodbench.scoring.fitting.statistics import feature_mean, in_blocks
from oodbench.scoring.shaping import Shaping


@dataclass
class BATS(Shaping):
    """LogSumExp_y of the logits of z clipped to mean ± width · deviation, by feature.

    Mean and deviation are measured on the training images. The authors' code reads them
    from files. The means for CIFAR-10 are below 0, as those of features behind a ReLU
    cannot be; they may be of the batch norm before it. The default is the authors' for
    ResNet-18 on CIFAR-10; for a ViT they have 1.05.

    Zhu et al., Boosting Out-of-distribution Detection with Typical Features, NeurIPS
    2022, arXiv 2210.04200.
    """

    fitted_on = "train"

    width: float = 3.25
    """In deviations, at least 0."""
    _low: Tensor = field(init=False, repr=False)
    _high: Tensor = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not self.width >= 0:
            raise ValueError(f"width must be at least 0, got {self.width}")

    def fit(self, known: Known) -> None:
        """Keeps the range of each feature."""
        features = known.features
        mean = known.shared(feature_mean)
        squares = torch.zeros_like(mean)
        for _, block in in_blocks(features):
            squares += (block - mean).square().sum(0)
        reach = self.width * (squares / len(features)).sqrt()
        self._low, self._high = mean - reach, mean + reach

    def shape(self, batch: Outputs) -> Outputs:
        """Returns the outputs of clipped features."""
        features = batch.features.double()
        return batch.shaped(features.clamp(self._low, self._high))
