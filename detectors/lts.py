"""Energy of scaled logits."""

from dataclasses import dataclass

from oodbench import Need, Outputs
from oodbench.detectors._kept import ratio
from oodbench.scoring.shaping import Shaping, check_percentile


@dataclass
class LTS(Shaping):
    """LogSumExp_y(r² f(x)[y]) with r = Σ z / Σ of the largest z.

    The finished logits are scaled, bias included, so that predictions stay as they are.
    Sums are of positive features. The default is the paper's.

    Djurisic, Liu and Nikolić, Logit Scaling for Out-of-Distribution Detection, 2024,
    arXiv 2409.01175.
    """

    needs = Need.FEATURES

    percentile: float = 95.0
    """From 0 to 100: the largest features are those above it, in each image."""

    def __post_init__(self) -> None:
        check_percentile("percentile", self.percentile)

    def shape(self, batch: Outputs) -> Outputs:
        """Returns the outputs of scaled logits."""
        r = ratio(batch.features.double(), self.percentile)
        return batch.shaped(logits=batch.logits.double() * r.square())
