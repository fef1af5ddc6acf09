"""Energy after clipping large features."""

from dataclasses import dataclass, field

from oodbench import Known, Outputs
from oodbench.scoring.fitting.quantiles import quantiles
from oodbench.scoring.shaping import Shaping, check_percentile


@dataclass
class ReAct(Shaping):
    """LogSumExp_y of the logits of min(z, c).

    The limit c is a percentile of all features of all validation images together. The
    paper's code uses 90; OpenOOD chooses it from 85 to 99 by OOD validation images.

    Sun, Guo and Li, ReAct: Out-of-distribution Detection With Rectified Activations,
    NeurIPS 2021, arXiv 2111.12797.
    """

    fitted_on = "val"

    percentile: float = 90.0
    """From 0 to 100, by linear interpolation."""
    _limit: float = field(init=False, repr=False)

    def __post_init__(self) -> None:
        check_percentile("percentile", self.percentile)

    def fit(self, known: Known) -> None:
        """Keeps the limit c."""
        (self._limit,) = quantiles(known.features, [self.percentile / 100])

    def shape(self, batch: Outputs) -> Outputs:
        """Returns the outputs of clipped features."""
        return batch.shaped(batch.features.double().clamp(max=self._limit))
