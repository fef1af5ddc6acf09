"""Energy of features replaced by mean features of equal rank."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from oodbench import Known, Outputs
from oodbench.scoring.fitting.statistics import in_blocks
from oodbench.scoring.shaping import Shaping


@dataclass
class RAS(Shaping):
    """LogSumExp_y of the logits of z′, the j-th largest feature replaced by a mean.

    The mean is that of the j-th largest feature over the training images. The score
    depends on the order of an image's features alone. Equal features, such as zeros
    behind a ReLU, are taken in order of place; the authors' code leaves their order to
    an unstable sort. There are no parameters.

    Guglielmo and Masana, Ranked Activation Shift for Post-Hoc Out-of-Distribution
    Detection, 2026, arXiv 2604.08572.
    """

    fitted_on = "train"

    _means: Tensor = field(init=False, repr=False)

    def fit(self, known: Known) -> None:
        """Keeps the mean of each rank."""
        features = known.features
        sums = torch.zeros(features.shape[1], dtype=torch.float64)
        for _, block in in_blocks(features):
            sums += block.sort(dim=1, descending=True).values.sum(0)
        self._means = sums / len(features)

    def shape(self, batch: Outputs) -> Outputs:
        """Returns the outputs of replaced features."""
        features = batch.features.double()
        order = features.sort(dim=1, descending=True, stable=True).indices
        means = self._means.expand_as(features)
        return batch.shaped(torch.empty_like(features).scatter(1, order, means))
