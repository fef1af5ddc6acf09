"""Energy of scaled logits, with a percentile for each image."""

from dataclasses import dataclass

from oodbench import Outputs
from oodbench.detectors._adascale import AdaScale
from oodbench.detectors._kept import ratio


@dataclass
class AdaScaleL(AdaScale):
    """LogSumExp_y(r² f(x)[y]) with r = Σ z / Σ of the largest z, as in `lts`.

    The percentile above which features are the largest is the image's own, that of
    `adascale_a`, with the same parameters.

    Regmi, AdaSCALE: Adaptive Scaling for OOD Detection, 2025, arXiv 2503.08023.
    """

    def shape(self, batch: Outputs) -> Outputs:
        """Returns the outputs of scaled logits."""
        r = ratio(batch.features.double(), self.percentiles(batch))
        return batch.shaped(logits=batch.logits.double() * r.square())
