"""Energy of the largest features, scaled."""

from dataclasses import dataclass

from oodbench import Outputs
from oodbench.detectors._kept import is_kept, kept_count, ratio
from oodbench.scoring.shaping import Shaping


@dataclass
class ASH(Shaping):
    """LogSumExp_y of the logits of the largest features, the others set to 0.

    Variant P leaves the kept features, B replaces each by (Σ z) / (number kept), and S
    multiplies them by exp(Σ z / Σ kept z), sums of positive features. The paper uses
    S with 90 for ResNet-50, 95 for CIFAR and 99 for DenseNet. OpenOOD's `ash` is B,
    with a percentile chosen by OOD validation images.

    Djurisic, Bozanic, Ashok and Liu, Extremely Simple Activation Shaping for
    Out-of-Distribution Detection, ICLR 2023, arXiv 2209.09858.
    """

    variant: str = "S"
    """P, B or S."""
    percentile: float = 90.0
    """The share of features of each image that is set to 0, in %; below 100."""

    def __post_init__(self) -> None:
        if self.variant not in ("P", "B", "S"):
            raise ValueError(f"variant must be P, B or S, got {self.variant!r}")
        if not 0 <= self.percentile < 100:
            raise ValueError(
                f"percentile must be at least 0 and below 100, got {self.percentile}"
            )

    def shape(self, batch: Outputs) -> Outputs:
        """Returns the outputs of the largest features."""
        features = batch.features.double()
        count = kept_count(features.shape[1], self.percentile)
        if count == 0:
            raise ValueError(
                f"percentile {self.percentile} keeps none of {features.shape[1]} "
                "features"
            )
        kept = is_kept(features, self.percentile)
        shaped = features * kept
        if self.variant == "S":
            shaped = shaped * ratio(features, self.percentile).exp()
        elif self.variant == "B":
            shaped = kept * features.sum(1, keepdim=True) / count
        return batch.shaped(shaped)
