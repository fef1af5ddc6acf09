"""Energy through the weights that contribute most."""

import copy
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from oodbench import Known, Outputs
from oodbench.scoring.fitting.statistics import feature_mean
from oodbench.scoring.shaping import Shaping, check_percentile


@dataclass
class DICE(Shaping):
    """LogSumExp_y of the logits through a head with its weak weights set to 0.

    The contribution of a weight is its product with the mean training feature. Weights
    stay whose contribution is above a percentile of all contributions. The paper uses
    90 for CIFAR and 70 for ImageNet. At 0 all weights stay.

    Sun and Li, DICE: Leveraging Sparsification for Out-of-Distribution Detection,
    ECCV 2022, arXiv 2111.09805.
    """

    fitted_on = "train"

    percentile: float = 90.0
    """From 0 to 100, by linear interpolation."""
    _mask: Tensor = field(init=False, repr=False)

    def __post_init__(self) -> None:
        check_percentile("percentile", self.percentile)

    def fit(self, known: Known) -> None:
        """Keeps which weights stay."""
        weight = known.head.weight.detach().double()
        contributions = weight * known.shared(feature_mean)
        limit = float(np.percentile(contributions.numpy(), self.percentile))
        self._mask = (contributions > limit) | torch.tensor(self.percentile == 0)

    def shape(self, batch: Outputs) -> Outputs:
        """Returns the outputs of the sparse head."""
        head = copy.deepcopy(batch.head)
        head.weight.data *= self._mask
        return batch.shaped(head=head)
