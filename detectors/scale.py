"""Energy of scaled features."""

from dataclasses import dataclass

from oodbench import Outputs
from oodbench.detectors._kept import ratio
from oodbench.scoring.shaping import Shaping, check_percentile


@dataclass
class Scale(Shaping):
    """LogSumExp_y of the logits of z · exp(Σ z / Σ of the largest z).

    No feature is removed. Sums are of positive features. The default is the paper's;
    OpenOOD chooses it from 65 to 95 by OOD validation images.

    Xu, Chen, Franchi and Yao, Scaling for Training Time and Post-hoc
    Out-of-distribution Detection Enhancement, ICLR 2024, arXiv 2310.00227.
    """

    percentile: float = 85.0
    """From 0 to 100: the largest features are those above it, in each image."""

    def __post_init__(self) -> None:
        check_percentile("percentile", self.percentile)

    def shape(self, batch: Outputs) -> Outputs:
        """Returns the outputs of scaled features."""
        features = batch.features.double()
        return batch.shaped(features * ratio(features, self.percentile).exp())
