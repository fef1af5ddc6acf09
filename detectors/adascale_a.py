"""Energy of scaled features, with a percentile for each image."""

from dataclasses import dataclass

from oodbench import Outputs
from oodbench.detectors._adascale import AdaScale
from oodbench.detectors._kept import ratio


@dataclass
class AdaScaleA(AdaScale):
    """LogSumExp_y of the logits of z · exp(Σ z / Σ of the largest z), as in `scale`.

    The percentile above which features are the largest is the image's own: low +
    (1 − F(q)) (high − low). q measures how the features move when the pixels of least
    influence on the largest logit do: λ Σ |z − z′| over the k1 largest features, plus
    Σ max(z′, 0) over the k2 largest. F is the distribution of q over the validation
    images. The more the features move, the weaker is the scaling.

    k1, k2 and λ are those of the authors' README, which calls them the paper's; it has
    `low` at 60 and tunes `high` alone. 75 and 85 are those of OpenOOD's code, which
    goes on to choose them by OOD images. The authors' own code exchanges k1 and k2
    between fitting and scoring. Its ε is 0.5 on normalised pixels; ours, for pixels in
    [0, 1], is a quarter of it, as for a standard deviation of 0.25. Each share is of at
    least one feature or pixel.

    Regmi, AdaSCALE: Adaptive Scaling for OOD Detection, 2025, arXiv 2503.08023.
    """

    def shape(self, batch: Outputs) -> Outputs:
        """Returns the outputs of scaled features."""
        features = batch.features.double()
        return batch.shaped(features * ratio(features, self.percentiles(batch)).exp())
